//! Finds files where the start of the work conflicts with the base branch, or with a pull request's branch that moved.
//! The agent receives their names in its prompt. The push and the reviewers find conflicts that remain at the end.

use crate::api::calls::Calls;
use crate::git::commit;
use crate::git::rebase::{Merge, merge_trees};
use crate::git::target::Target;
use crate::git::workspace::Workspace;
use crate::git::workspace::mirror::Mirror;
use crate::git::{Git, GitCall, GitError};
use pullyard_domain::kinds::prompt::conflict::conflict_prompt;
use std::time::Duration;

/// Time limit, after which the agent starts without the list. A repository can make git work for very long.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Returns the prompt about conflicts, and adds an event for each branch. Git errors are only logged.
/// Writes: objects, and the index of the runner's own repository if there is earlier work.
pub(crate) async fn find_conflicts(
    attempt: &Calls<'_>,
    (git, mirror, workspace): (&Git, &Mirror, &Workspace),
    target: &Target,
    has_work: bool,
) -> String {
    let mut prompts = Vec::new();
    let log_error = |error: &GitError| tracing::warn!(error = %error, "conflict check failed: {error}");
    let branches = list_other_branches(git, mirror, target).await.inspect_err(log_error).unwrap_or_default();
    if branches.is_empty() {
        return String::new();
    }
    let ours = if has_work { commit_earlier_work(attempt, (git, workspace), target).await } else { None };
    let (ours, repository) = (ours.as_ref().unwrap_or(&target.start_commit), workspace.repository());
    for (branch, commit) in branches {
        match merge_trees(git, &repository, &commit, ours).await {
            Ok(Merge::Tree(_)) => {}
            Ok(Merge::Conflicts(files)) => {
                let files: Vec<String> = files.into_iter().collect();
                let count = if files.len() == 1 { "one file".to_owned() } else { format!("{} files", files.len()) };
                let message =
                    format!("The work does not merge with `{branch}` in {count}; the agent receives their names.");
                attempt.events.log(message);
                prompts.push(conflict_prompt(&branch, &commit, &files));
            }
            Err(error) => log_error(&error),
        }
    }
    prompts.join("\n")
}

async fn list_other_branches(git: &Git, mirror: &Mirror, target: &Target) -> Result<Vec<(String, String)>, GitError> {
    if target.adopted_commit.is_some() {
        return Ok(Vec::new());
    }
    let mut branches = vec![(target.base_branch.clone(), target.base_commit.clone())];
    if target.pull_request.is_some() && target.branch != target.base_branch {
        let head = mirror.branch(git, &target.branch).await?;
        branches.extend(head.map(|head| (target.branch.clone(), head)));
    }
    branches.retain(|(_, commit)| *commit != target.start_commit);
    Ok(branches)
}

/// An unpublished commit with the work of an earlier attempt; `None` if it changed nothing, or on an error.
async fn commit_earlier_work(
    attempt: &Calls<'_>,
    (git, workspace): (&Git, &Workspace),
    target: &Target,
) -> Option<String> {
    let tree = commit::write_tree(git, workspace, target, attempt.assignment).await.ok()?;
    let repository = workspace.repository();
    let call = GitCall::new(["commit-tree", tree.as_str(), "-p", target.start_commit.as_str(), "-F", "-"]);
    git.run_for_line(call.input(b"A side of a merge\n").repository(&repository).with_identity()).await.ok()
}
