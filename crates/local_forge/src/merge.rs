//! Merges pull requests.

use std::{path::Path, sync::Arc};

use serde_json::json;

use crate::{
    Error,
    access::Actor,
    branches::read_branches,
    events,
    forge_state::Shared,
    git_queries::CheckoutUpdate,
    pulls, pushes,
    record::{MergeRecord, Pull, PullRecord, PullState},
    repositories::RepositoryEntry,
};

pub enum MergeOutcome {
    Merged { sha: String },
    Missing,
    NotMergeable(Obstacle),
    Moved,
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

/// Shown to a user whose pull request got new commits.
pub const MOVED: &str = "A branch has new commits: look at the changes again, then merge.";

impl Obstacle {
    pub fn message(self, pull: &PullRecord) -> String {
        let PullRecord { number, head, base, .. } = pull;
        match self {
            Self::Merged => format!("Pull request #{number} is already merged."),
            Self::Closed => format!("Pull request #{number} is closed: reopen it, then merge."),
            Self::Draft => format!("Pull request #{number} is a draft and cannot be merged."),
            Self::Conflict => format!("The branch {head} conflicts with {base}: merge {base} into it and push it."),
            Self::CheckedOut => {
                "The repository's folder has changes that are in no commit: commit or remove them, then merge again."
                    .to_owned()
            }
        }
    }
}

/// Merges unless the base, or the head that the user saw, has moved.
/// Writes: the base branch, if it has not moved; then the record.
pub async fn merge(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    number: u64,
    seen_head: Option<&str>,
) -> Result<MergeOutcome, Error> {
    let git_dir = &entry.git_dir;
    let mut record = entry.record.lock().await;
    let branches = read_branches(git_dir).await?;
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
    if seen_head.is_some_and(|sha| sha != pull.head_sha) {
        return Ok(MergeOutcome::Moved);
    }
    let checked_out = shared.git.is_checked_out(git_dir, &stored.base).await?;
    let Some(sha) = create_merge_commit(shared, git_dir, actor, &pull, &entry.owner).await? else {
        return Ok(MergeOutcome::NotMergeable(Obstacle::Conflict));
    };
    let update = match checked_out {
        true => shared.git.update_checkout(git_dir, &pull.base_sha, &sha).await?,
        false => CheckoutUpdate::Unchanged,
    };
    if update == CheckoutUpdate::Refused {
        return Ok(MergeOutcome::NotMergeable(Obstacle::CheckedOut));
    }
    let moved = shared.git.move_branch(git_dir, &stored.base, &sha, &pull.base_sha).await;
    if !matches!(moved, Ok(true)) {
        // Otherwise the merge's files would remain without a commit. Files that were not changed here may come from the
        // user's own merge.
        if update == CheckoutUpdate::Updated && !shared.git.restore_checkout(git_dir, &sha, &pull.base_sha).await? {
            tracing::warn!(number, "the merge failed, and its files remain in the folder");
        }
        return moved.map(|_| MergeOutcome::Moved);
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
    owner: &str,
) -> Result<Option<String>, Error> {
    let Pull { record, head_sha, base_sha } = pull;
    let Some(tree) = shared.git.merge_tree(git_dir, base_sha, head_sha).await? else { return Ok(None) };
    let message = format!("Merge pull request #{} from {owner}/{}\n\n{}", record.number, record.head, record.title);
    Ok(Some(shared.git.commit_tree(git_dir, &tree, [base_sha, head_sha], &actor.account, &message).await?))
}
