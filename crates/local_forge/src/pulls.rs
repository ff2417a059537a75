//! Opens and changes pull requests, and finds their current commits.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::json;

use crate::{
    Error,
    access::Actor,
    branches::read_branches,
    events,
    forge_state::Shared,
    record::{Pull, PullRecord, PullState},
    repositories::RepositoryEntry,
};

#[derive(Deserialize)]
pub struct NewPull {
    #[serde(default)]
    pub title: String,
    pub body: Option<String>,
    pub head: String,
    pub base: String,
    #[serde(default)]
    pub draft: bool,
}

pub enum Outcome {
    Stored(Box<Pull>),
    Missing,
    Refused(Vec<Rejection>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    HeadUnknown,
    BaseUnknown,
    AlreadyOpen { owner: String, branch: String },
    NoCommits { base: String, head: String },
    NoCommonHistory { base: String, head: String },
    CannotReopen(String),
}

pub struct PullUpdate {
    pub title: Option<String>,
    pub body: Option<Option<String>>,
    pub state: Option<PullState>,
}

/// Writes: the repository's record, if no open pull request has the same head and base; calls are serialised.
pub async fn open(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    author: &Actor,
    proposal: NewPull,
) -> Result<Outcome, Error> {
    let (git, git_dir) = (&shared.git, &entry.git_dir);
    let mut record = entry.record.lock().await;
    let branches = read_branches(git_dir).await?;
    let head = parse_own_branch(entry, &proposal.head);
    let (head, head_sha, base_sha) =
        match (head.and_then(|head| branches.get_key_value(head)), branches.get(&proposal.base)) {
            (Some((head, head_sha)), Some(base_sha)) => (head, head_sha, base_sha),
            (head, base) => {
                let head = head.is_none().then_some(Rejection::HeadUnknown);
                let base = base.is_none().then_some(Rejection::BaseUnknown);
                return Ok(Outcome::Refused(head.into_iter().chain(base).collect()));
            }
        };
    let refuse = |objection| Ok(Outcome::Refused(vec![objection]));
    if record.pulls.iter().any(|pull| pull.is_open() && pull.head == *head && pull.base == proposal.base) {
        return refuse(Rejection::AlreadyOpen { owner: entry.owner.clone(), branch: head.clone() });
    }
    if git.merge_base(git_dir, base_sha, head_sha).await?.is_none() {
        return refuse(Rejection::NoCommonHistory { base: proposal.base, head: head.clone() });
    }
    if git.commits_between(git_dir, base_sha, head_sha).await? == 0 {
        return refuse(Rejection::NoCommits { base: proposal.base, head: head.clone() });
    }

    let now = shared.clock.now();
    let pull = PullRecord {
        id: shared.ids.next()?,
        number: record.next_number,
        title: proposal.title,
        body: proposal.body,
        head: head.clone(),
        base: proposal.base,
        draft: proposal.draft,
        head_sha: head_sha.clone(),
        base_sha: base_sha.clone(),
        author_id: author.account.id,
        author: author.account.login.clone(),
        created_at: now.clone(),
        updated_at: now,
        ..PullRecord::default()
    };
    let mut changed = record.clone();
    changed.next_number += 1;
    changed.pulls.push(pull.clone());
    entry.save(&mut record, changed).await?;
    drop(record);
    let pull = with_current_commits(pull, &branches);
    events::publish_pull_request(shared, entry, author, &pull, "opened", json!({})).await;
    Ok(Outcome::Stored(Box::new(pull)))
}

/// Writes: the repository's record; reopens only if the branch exists and contains the old head.
pub async fn update(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    number: u64,
    change: PullUpdate,
) -> Result<Outcome, Error> {
    let mut record = entry.record.lock().await;
    let branches = read_branches(&entry.git_dir).await?;
    let mut changed = record.clone();
    let others = record.pulls.clone();
    let Some(pull) = changed.pulls.iter_mut().find(|pull| pull.number == number) else {
        return Ok(Outcome::Missing);
    };
    let mut edits = serde_json::Map::new();
    if let Some(title) = change.title.filter(|title| *title != pull.title) {
        edits.insert("title".to_owned(), json!({ "from": pull.title }));
        pull.title = title;
    }
    if let Some(body) = change.body.filter(|body| *body != pull.body) {
        edits.insert("body".to_owned(), json!({ "from": pull.body.clone().unwrap_or_default() }));
        pull.body = body;
    }
    pull.updated_at = shared.clock.now();
    let mut action = None;
    match change.state {
        Some(PullState::Closed) if pull.state == PullState::Open => {
            close(pull, &branches);
            action = Some("closed");
        }
        Some(PullState::Open) if pull.state == PullState::Closed => {
            if let Some(objection) = check_reopen(shared, entry, pull, &others, &branches).await? {
                return Ok(Outcome::Refused(vec![objection]));
            }
            pull.state = PullState::Open;
            pull.closed_at = None;
            action = Some("reopened");
        }
        _ => {}
    }
    let pull = pull.clone();
    entry.save(&mut record, changed).await?;
    drop(record);
    let pull = with_current_commits(pull, &branches);
    if !edits.is_empty() {
        events::publish_pull_request(shared, entry, actor, &pull, "edited", json!({ "changes": edits })).await;
    }
    if let Some(action) = action {
        events::publish_pull_request(shared, entry, actor, &pull, action, json!({})).await;
    }
    Ok(Outcome::Stored(Box::new(pull)))
}

pub fn close(pull: &mut PullRecord, branches: &BTreeMap<String, String>) {
    let last = with_current_commits(pull.clone(), branches);
    pull.head_sha = last.head_sha;
    pull.base_sha = last.base_sha;
    pull.state = PullState::Closed;
    pull.closed_at = Some(pull.updated_at.clone());
}

async fn check_reopen(
    shared: &Shared,
    entry: &RepositoryEntry,
    pull: &PullRecord,
    others: &[PullRecord],
    branches: &BTreeMap<String, String>,
) -> Result<Option<Rejection>, Error> {
    let refuse = |reason: String| Ok(Some(Rejection::CannotReopen(reason)));
    if pull.merged.is_some() {
        return refuse("state cannot be changed. The pull request has been merged.".to_owned());
    }
    let Some(head) = branches.get(&pull.head) else {
        return refuse(format!("state cannot be changed. The {} branch has been deleted.", pull.head));
    };
    let Some(base) = branches.get(&pull.base) else {
        return refuse(format!("state cannot be changed. The {} branch has been deleted.", pull.base));
    };
    let is_twin = |other: &&PullRecord| other.is_open() && other.head == pull.head && other.base == pull.base;
    if let Some(twin) = others.iter().find(is_twin) {
        let (owner, head) = (&entry.owner, &pull.head);
        return refuse(format!("state cannot be changed. Pull request #{} is open for {owner}:{head}.", twin.number));
    }
    let git_dir = &entry.git_dir;
    if !shared.git.is_ancestor(git_dir, &pull.head_sha, head).await? {
        return refuse(format!("state cannot be changed. The {} branch was force-pushed or recreated.", pull.head));
    }
    if shared.git.commits_between(git_dir, base, head).await? == 0 {
        return refuse(format!("state cannot be changed. There are no new commits on the {} branch.", pull.head));
    }
    Ok(None)
}

pub async fn list(entry: &RepositoryEntry) -> Result<Vec<Pull>, Error> {
    let pulls = entry.record.lock().await.pulls.clone();
    let branches = read_branches(&entry.git_dir).await?;
    Ok(pulls.into_iter().rev().map(|pull| with_current_commits(pull, &branches)).collect())
}

pub async fn find(entry: &RepositoryEntry, number: u64) -> Result<Option<Pull>, Error> {
    let pull = entry.record.lock().await.pulls.iter().find(|pull| pull.number == number).cloned();
    let Some(pull) = pull else { return Ok(None) };
    let branches = read_branches(&entry.git_dir).await?;
    Ok(Some(with_current_commits(pull, &branches)))
}

/// Changes one pull request under the record's lock; an error of `change` stores nothing. `None` if it is missing.
pub async fn update_record<T, E: From<Error>>(
    shared: &Shared,
    entry: &RepositoryEntry,
    number: u64,
    change: impl FnOnce(&mut PullRecord) -> Result<T, E>,
) -> Result<Option<(T, Box<Pull>)>, E> {
    let mut record = entry.record.lock().await;
    let mut changed = record.clone();
    let Some(pull) = changed.pulls.iter_mut().find(|pull| pull.number == number) else {
        return Ok(None);
    };
    let outcome = change(pull)?;
    pull.updated_at = shared.clock.now();
    let pull = pull.clone();
    entry.save(&mut record, changed).await?;
    drop(record);
    let branches = read_branches(&entry.git_dir).await?;
    Ok(Some((outcome, Box::new(with_current_commits(pull, &branches)))))
}

pub fn with_current_commits(record: PullRecord, branches: &BTreeMap<String, String>) -> Pull {
    let commit = |branch: &str, last: &str| match record.state {
        PullState::Open => branches.get(branch).map_or(last, String::as_str).to_owned(),
        PullState::Closed => last.to_owned(),
    };
    let head_sha = commit(&record.head, &record.head_sha);
    let base_sha = commit(&record.base, &record.base_sha);
    Pull { record, head_sha, base_sha }
}

fn parse_own_branch<'a>(entry: &RepositoryEntry, head: &'a str) -> Option<&'a str> {
    match head.split_once(':') {
        None => Some(head),
        Some((owner, branch)) => owner.eq_ignore_ascii_case(&entry.owner).then_some(branch),
    }
}
