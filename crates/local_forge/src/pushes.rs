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
    record::{LineCommentRecord, MergeRecord, PullState, Side},
    repositories::RepositoryEntry,
};

/// Writes: the repository's record, if a branch of an open pull request moved. Idempotent: by the recorded commits.
pub(crate) async fn apply_push(shared: &Arc<Shared>, entry: &RepositoryEntry, by: &Actor) -> Result<(), Error> {
    let git_dir = &entry.git_dir;
    let mut record = entry.record.lock().await;
    let branches = read_branches(git_dir).await?;
    let mut changed = record.clone();
    let (mut actions, mut needs_save) = (Vec::new(), false);
    for pull in changed.pulls.iter_mut().filter(|pull| pull.state == PullState::Open) {
        let Some(base) = branches.get(&pull.base).cloned() else { continue };
        let base_moved = base != pull.base_sha;
        let Some(head) = branches.get(&pull.head).cloned() else {
            pull.updated_at = shared.clock.now();
            pulls::close(pull, &branches);
            needs_save = true;
            actions.push((pull.number, "closed", json!({})));
            continue;
        };
        if head == pull.head_sha && !base_moved {
            continue;
        }
        needs_save = true;
        pull.updated_at = shared.clock.now();
        let before = std::mem::replace(&mut pull.head_sha, head.clone());
        if before != head {
            update_comments(shared, entry, &mut pull.comments, &head).await?;
        }
        if base_moved && shared.git.is_ancestor(git_dir, &head, &base).await? {
            let at = pull.updated_at.clone();
            // Keep the old base; otherwise the pull request would show no change.
            pull.state = PullState::Closed;
            pull.closed_at = Some(at.clone());
            pull.merged = Some(MergeRecord { at, by: by.account.clone(), sha: base });
            actions.push((pull.number, "closed", json!({})));
            continue;
        }
        pull.base_sha = base;
        if before != head {
            actions.push((pull.number, "synchronize", json!({ "before": before, "after": head })));
        }
    }
    if !needs_save {
        return Ok(());
    }
    entry.save(&mut record, changed.clone()).await?;
    drop(record);
    for (number, action, more) in actions {
        let pull = changed.pulls.iter().find(|pull| pull.number == number);
        if let Some(pull) = pull {
            let pull = pulls::with_current_commits(pull.clone(), &branches);
            events::publish_pull_request(shared, entry, by, &pull, action, more).await;
        }
    }
    Ok(())
}

/// Maps commented lines to the new head; comments on changed lines become outdated.
pub(crate) async fn update_comments(
    shared: &Shared,
    entry: &RepositoryEntry,
    comments: &mut [LineCommentRecord],
    head: &str,
) -> Result<(), Error> {
    let git_dir = &entry.git_dir;
    let mut diffs = BTreeMap::new();
    // A push does not change the left side.
    let is_moved = |comment: &&mut LineCommentRecord| comment.side == Side::Right && comment.line.is_some();
    for comment in comments.iter_mut().filter(is_moved) {
        let key = (comment.commit.clone(), comment.path.clone());
        if !diffs.contains_key(&key) {
            let change = shared.git.zero_context_diff(git_dir, &comment.commit, head, &comment.path).await?;
            diffs.insert(key.clone(), change);
        }
        if let Some(change) = diffs.get(&key) {
            comment.line = comment.line.and_then(|line| diff::map_line(change, line));
            comment.start_line = comment.start_line.and_then(|line| diff::map_line(change, line));
            if comment.line.is_some() {
                head.clone_into(&mut comment.commit);
            }
        }
    }
    Ok(())
}
