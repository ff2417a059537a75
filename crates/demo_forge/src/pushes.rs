//! Applies pushes to pull requests: updates heads and comments, and closes or merges.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use crate::{
    Error,
    access::Actor,
    branches::read_branches,
    diff, events,
    forge_state::Shared,
    pulls,
    record::{MergeRecord, PullRecord, PullState},
    repositories::RepositoryEntry,
};

/// Writes: the repository's record, if a branch of an open pull request moved. Idempotent: by the recorded commits.
pub(crate) async fn apply_push(shared: &Arc<Shared>, entry: &RepositoryEntry, by: &Actor) -> Result<(), Error> {
    let git_dir = &entry.git_dir;
    let mut record = entry.record.lock().await;
    let branches = read_branches(git_dir).await?;
    let mut changed = record.clone();
    let (mut happened, mut moved) = (Vec::new(), false);
    for pull in changed.pulls.iter_mut().filter(|pull| pull.state == PullState::Open) {
        let Some(base) = branches.get(&pull.base).cloned() else { continue };
        let base_moved = base != pull.base_sha;
        let Some(head) = branches.get(&pull.head).cloned() else {
            pull.updated_at = shared.clock.now();
            pulls::close(pull, &branches);
            moved = true;
            happened.push((pull.number, "closed", json!({})));
            continue;
        };
        if head == pull.head_sha && !base_moved {
            continue;
        }
        moved = true;
        pull.updated_at = shared.clock.now();
        let before = std::mem::replace(&mut pull.head_sha, head.clone());
        if before != head {
            update_comments(shared, entry, pull, &head).await?;
        }
        if base_moved && shared.git.is_ancestor(git_dir, &head, &base).await? {
            let at = pull.updated_at.clone();
            // Keep the old base; otherwise the pull request would show no change.
            pull.state = PullState::Closed;
            pull.closed_at = Some(at.clone());
            pull.merged = Some(MergeRecord { at, by: by.account.clone(), sha: base });
            happened.push((pull.number, "closed", json!({})));
            continue;
        }
        pull.base_sha = base;
        if before != head {
            happened.push((pull.number, "synchronize", json!({ "before": before, "after": head })));
        }
    }
    if !moved {
        return Ok(());
    }
    entry.save(&mut record, changed.clone()).await?;
    drop(record);
    for (number, action, more) in happened {
        let found = changed.pulls.iter().find(|pull| pull.number == number);
        if let Some(pull) = found {
            let pull = pulls::with_current_commits(pull.clone(), &branches);
            events::publish_pull_request(shared, entry, by, &pull, action, more).await;
        }
    }
    Ok(())
}

/// Maps commented lines to the new head; comments on changed lines become outdated.
async fn update_comments(
    shared: &Shared,
    entry: &RepositoryEntry,
    pull: &mut PullRecord,
    head: &str,
) -> Result<(), Error> {
    let git_dir = &entry.git_dir;
    let mut changes = BTreeMap::new();
    for comment in pull.comments.iter_mut().filter(|comment| comment.line.is_some()) {
        let key = (comment.commit.clone(), comment.path.clone());
        if !changes.contains_key(&key) {
            let change = shared.git.zero_context_diff(git_dir, &comment.commit, head, &comment.path).await?;
            changes.insert(key.clone(), change);
        }
        if let Some(change) = changes.get(&key) {
            comment.line = comment.line.and_then(|line| diff::map_line(change, line));
            if comment.line.is_some() {
                head.clone_into(&mut comment.commit);
            }
        }
    }
    Ok(())
}
