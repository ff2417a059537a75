//! Merges pull requests and deletes branches.

use std::{path::Path, sync::Arc};

use serde_json::json;

use crate::{
    Error,
    access::Actor,
    events,
    forge_state::Shared,
    git_queries::{CommitIdentity, MergeTree},
    pulls::{self},
    pushes,
    record::{MergeRecord, Pull, PullState},
    repositories::RepositoryEntry,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Merge,
    Squash,
}

pub struct MergeRequest {
    pub method: Method,
    pub title: Option<String>,
    pub message: Option<String>,
    pub sha: Option<String>,
}

pub enum MergeOutcome {
    Merged { sha: String },
    Missing,
    NotMergeable(Obstacle),
    Moved(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    Merged,
    Closed,
    Draft,
    /// A merge would change the branch, but not the files in the user's folder.
    CheckedOut,
    Conflict,
}

impl Obstacle {
    /// The text of GitHub's response 405, if GitHub knows the obstacle.
    pub fn message(self) -> &'static str {
        match self {
            Self::Merged | Self::Closed | Self::Conflict => "Pull Request is not mergeable",
            Self::Draft => "Pull Request is still a draft",
            Self::CheckedOut => "The base branch is checked out in a folder with other changes; commit them.",
        }
    }
}

/// Merges unless head or base have moved. Writes: the base branch, if it has not moved; then the record.
pub async fn merge(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    number: u64,
    wish: MergeRequest,
) -> Result<MergeOutcome, Error> {
    let git_dir = entry.git_dir();
    let mut record = entry.record.lock().await;
    let branches = shared.git.branches(&git_dir).await?;
    let mut changed = record.clone();
    let Some(stored) = changed.pulls.iter_mut().find(|pull| pull.number == number) else {
        return Ok(MergeOutcome::Missing);
    };
    let pull = pulls::with_current_commits(stored.clone(), &branches);
    if stored.merged.is_some() {
        return Ok(MergeOutcome::NotMergeable(Obstacle::Merged));
    }
    if stored.state == PullState::Closed {
        return Ok(MergeOutcome::NotMergeable(Obstacle::Closed));
    }
    if stored.draft {
        return Ok(MergeOutcome::NotMergeable(Obstacle::Draft));
    }
    if wish.sha.as_ref().is_some_and(|sha| *sha != pull.head_sha) {
        return Ok(MergeOutcome::Moved("Head branch was modified. Review and try the merge again."));
    }
    let checked_out = shared.git.is_checked_out(&git_dir, &stored.base).await?;
    let Some(sha) = create_merge_commit(shared, &git_dir, actor, &pull, (&entry.owner(), &wish)).await? else {
        return Ok(MergeOutcome::NotMergeable(Obstacle::Conflict));
    };
    if checked_out && !shared.git.update_checkout(&git_dir, &pull.base_sha, &sha).await? {
        return Ok(MergeOutcome::NotMergeable(Obstacle::CheckedOut));
    }
    if !shared.git.move_branch(&git_dir, &stored.base, &sha, &pull.base_sha).await? {
        return Ok(MergeOutcome::Moved("Base branch was modified. Review and try the merge again."));
    }
    let now = shared.clock.now();
    stored.updated_at.clone_from(&now);
    stored.head_sha.clone_from(&pull.head_sha);
    stored.base_sha.clone_from(&pull.base_sha);
    stored.state = PullState::Closed;
    stored.closed_at = Some(now.clone());
    stored.merged = Some(MergeRecord { at: now, by: actor.account.clone(), sha: sha.clone() });
    let stored = stored.clone();
    entry.save(&mut record, changed).await?;
    drop(record);
    let pull = Pull { record: stored, ..pull };
    events::publish_pull_request(shared, entry, actor, &pull, "closed", json!({})).await;
    // Update other pull requests with this base.
    pushes::apply_push(shared, entry, actor).await?;
    Ok(MergeOutcome::Merged { sha })
}

async fn create_merge_commit(
    shared: &Shared,
    git_dir: &Path,
    actor: &Actor,
    pull: &Pull,
    (owner, wish): (&str, &MergeRequest),
) -> Result<Option<String>, Error> {
    let Pull { record, head_sha, base_sha } = pull;
    let MergeTree::Tree(tree) = shared.git.merge_tree(git_dir, base_sha, head_sha).await? else {
        return Ok(None);
    };
    let (both, one) = ([base_sha.as_str(), head_sha.as_str()], [base_sha.as_str()]);
    let (parents, title, message): (&[&str], _, _) = match wish.method {
        Method::Merge => {
            let title = format!("Merge pull request #{} from {owner}/{}", record.number, record.head);
            (&both, title, record.title.clone())
        }
        Method::Squash => {
            let title = format!("{} (#{})", record.title, record.number);
            (&one, title, record.body.clone().unwrap_or_default())
        }
    };
    let title = wish.title.clone().unwrap_or(title);
    let text = format!("{title}\n\n{}", wish.message.clone().unwrap_or(message));
    let login = &actor.account.login;
    let email = format!("{}+{login}@users.noreply.localhost", actor.account.id);
    let by = CommitIdentity { name: login, email: &email };
    Ok(Some(shared.git.commit_tree(git_dir, (&tree, parents), by, text.trim_end()).await?))
}

pub enum DeleteOutcome {
    Deleted,
    Missing,
}

pub async fn delete_branch(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    branch: &str,
) -> Result<DeleteOutcome, Error> {
    let git_dir = entry.git_dir();
    let branches = shared.git.branches(&git_dir).await?;
    let Some(old) = branches.get(branch) else { return Ok(DeleteOutcome::Missing) };
    if branch == entry.default_branch || !shared.git.delete_branch(&git_dir, branch, old).await? {
        return Ok(DeleteOutcome::Missing);
    }
    pushes::apply_push(shared, entry, actor).await?;
    Ok(DeleteOutcome::Deleted)
}
