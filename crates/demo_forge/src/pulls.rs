//! The rules of pull requests: when one may be opened, what may change, and what its commits are
//! right now. How that looks as JSON or as a page is not decided here.

use std::collections::BTreeMap;

use crate::{
    Error, clock,
    git::Git,
    record::{PullRecord, PullState, RepositoryRecord},
    repositories::Entry,
    users::User,
};

/// A pull request with the commits its branches point to at this moment.
#[derive(Clone, Debug)]
pub(crate) struct Pull {
    pub(crate) record: PullRecord,
    pub(crate) head_sha: String,
    pub(crate) base_sha: String,
}

/// What a caller wants to open.
pub(crate) struct Proposal {
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    /// `branch` or `owner:branch`.
    pub(crate) head: String,
    pub(crate) base: String,
    pub(crate) draft: bool,
}

/// What came of a proposal.
pub(crate) enum Opened {
    /// The pull request was stored.
    Created(Box<Pull>),
    /// GitHub would refuse it, for these reasons.
    Refused(Vec<Objection>),
}

/// Why GitHub would refuse a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    HeadUnknown,
    BaseUnknown,
    AlreadyOpen { owner: String, branch: String },
    NoCommits { base: String, head: String },
    NoCommonHistory { base: String, head: String },
}

/// What may be changed about a pull request; `None` leaves it as it is.
pub(crate) struct Change {
    pub(crate) title: Option<String>,
    pub(crate) body: Option<Option<String>>,
    pub(crate) state: Option<PullState>,
}

/// Opens a pull request, or says why GitHub would not.
///
/// Writes: the repository's record, on the condition that no open pull request has the same head
/// and base; racing twins wait for each other.
pub(crate) async fn open(git: &Git, entry: &Entry, author: &User, proposal: Proposal) -> Result<Opened, Error> {
    let mut record = entry.record.lock().await;
    let branches = git.branches(&entry.git_dir).await?;
    let head = own_branch(entry, &proposal.head);
    let (head, head_sha, base_sha) =
        match (head.and_then(|head| branches.get_key_value(head)), branches.get(&proposal.base)) {
            (Some((head, head_sha)), Some(base_sha)) => (head, head_sha, base_sha),
            (head, base) => {
                let head = head.is_none().then_some(Objection::HeadUnknown);
                let base = base.is_none().then_some(Objection::BaseUnknown);
                return Ok(Opened::Refused(head.into_iter().chain(base).collect()));
            }
        };
    let already_open = record
        .pulls
        .iter()
        .any(|pull| pull.state == PullState::Open && pull.head == *head && pull.base == proposal.base);
    let objection = if already_open {
        Some(Objection::AlreadyOpen { owner: entry.owner.clone(), branch: head.clone() })
    } else if git.merge_base(&entry.git_dir, base_sha, head_sha).await?.is_none() {
        Some(Objection::NoCommonHistory { base: proposal.base.clone(), head: head.clone() })
    } else if git.commits_between(&entry.git_dir, base_sha, head_sha).await? == 0 {
        Some(Objection::NoCommits { base: proposal.base.clone(), head: head.clone() })
    } else {
        None
    };
    if let Some(objection) = objection {
        return Ok(Opened::Refused(vec![objection]));
    }

    let now = clock::now();
    let number = record.next_number;
    let pull = PullRecord {
        // Ids are unique in the whole forge, numbers in one repository.
        id: entry.id.wrapping_mul(1_000_000).wrapping_add(number),
        number,
        title: proposal.title,
        body: proposal.body,
        head: head.clone(),
        base: proposal.base,
        state: PullState::Open,
        draft: proposal.draft,
        head_sha: head_sha.clone(),
        base_sha: base_sha.clone(),
        author_id: author.id,
        author: author.login.clone(),
        created_at: now.clone(),
        updated_at: now,
        closed_at: None,
    };
    let mut changed = record.clone();
    changed.next_number += 1;
    changed.pulls.push(pull.clone());
    entry.replace(&mut record, changed).await?;
    Ok(Opened::Created(Box::new(live(pull, &branches))))
}

/// Changes title, body or state. `None` when there is no such pull request.
pub(crate) async fn change(git: &Git, entry: &Entry, number: u64, change: Change) -> Result<Option<Pull>, Error> {
    let mut record = entry.record.lock().await;
    let branches = git.branches(&entry.git_dir).await?;
    let mut changed = record.clone();
    let Some(pull) = changed.pulls.iter_mut().find(|pull| pull.number == number) else {
        return Ok(None);
    };
    if let Some(title) = change.title {
        pull.title = title;
    }
    if let Some(body) = change.body {
        pull.body = body;
    }
    pull.updated_at = clock::now();
    if change.state == Some(PullState::Closed) && pull.state == PullState::Open {
        // A closed pull request keeps the commits it had when it was closed.
        let last = live(pull.clone(), &branches);
        pull.head_sha = last.head_sha;
        pull.base_sha = last.base_sha;
        pull.state = PullState::Closed;
        pull.closed_at = Some(pull.updated_at.clone());
    }
    let pull = pull.clone();
    entry.replace(&mut record, changed).await?;
    Ok(Some(live(pull, &branches)))
}

/// All pull requests, newest first.
pub(crate) async fn list(git: &Git, entry: &Entry) -> Result<Vec<Pull>, Error> {
    let RepositoryRecord { pulls, .. } = entry.record.lock().await.clone();
    let branches = git.branches(&entry.git_dir).await?;
    Ok(pulls.into_iter().rev().map(|pull| live(pull, &branches)).collect())
}

pub(crate) async fn find(git: &Git, entry: &Entry, number: u64) -> Result<Option<Pull>, Error> {
    Ok(list(git, entry).await?.into_iter().find(|pull| pull.record.number == number))
}

fn live(record: PullRecord, branches: &BTreeMap<String, String>) -> Pull {
    let commit = |branch: &str, last: &str| match record.state {
        PullState::Open => branches.get(branch).map_or(last, String::as_str).to_owned(),
        PullState::Closed => last.to_owned(),
    };
    let head_sha = commit(&record.head, &record.head_sha);
    let base_sha = commit(&record.base, &record.base_sha);
    Pull { record, head_sha, base_sha }
}

/// The branch in this repository; there are no forks, so another owner's branch is none.
fn own_branch<'a>(entry: &Entry, head: &'a str) -> Option<&'a str> {
    match head.split_once(':') {
        None => Some(head),
        Some((owner, branch)) => owner.eq_ignore_ascii_case(&entry.owner).then_some(branch),
    }
}
