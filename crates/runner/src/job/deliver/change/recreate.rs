//! Creates the commit of an earlier attempt's finished work again, without an agent.

use crate::attempt::Attempt;
use crate::checkpoint::available::AvailableCheckpoint;
use crate::checkpoint::content::{FinishedWork, PATCH_FILE, REPLIES_FILE};
use crate::git::patch::Lines;
use crate::git::protected;
use crate::git::target::Target;
use crate::git::workspace::Workspace;
use crate::git::{Git, GitCall, GitError, commit};
use crate::job::checks::CheckResults;
use crate::job::work_result::WorkResult;
use crate::publish::replies::{self, AgentReplies};
use crate::publish::secret_scan;
use crate::stop::Stop;
use pullyard_domain::agent::AgentSpec;
use std::fs;

/// Creates the commit again. `None` if the patch does not apply or gives another tree; an event states the reason.
/// Errors: as for the work of an agent, because the checkpoint's content is not trusted.
pub(super) async fn recreate_commit(
    attempt: &Attempt<'_>,
    (git, workspace, target): (&Git, &Workspace, &Target),
    (available, work): (&AvailableCheckpoint, &FinishedWork),
) -> Result<Option<WorkResult>, Stop> {
    let repository = workspace.repository();
    let tree = match apply_to_index(git, workspace, available).await {
        Ok(tree) if tree == work.tree => tree,
        result => {
            let reason =
                result.map_or_else(|error| error.reason(), |_| "the stored patch gives a different result".into());
            attempt.events.log(format!("The finished work cannot be published: {reason}. The agent continues."));
            // The failed try may have left the work in the index.
            workspace.reset_repository().await?;
            return Ok(None);
        }
    };
    let change = (target.start_commit.as_str(), tree.as_str());
    protected::check_protected_files(attempt, git, workspace, change).await?;
    let agent = AgentSpec::find(&available.metadata.agent).map(|agent| agent.code);
    let results = CheckResults::from_earlier(work.checks.clone());
    let (assignment, redactor) = (attempt.assignment, &attempt.redactor);
    let parts = commit::CommitMessageParts { assignment, subject: None, agent, checks: results.verdict(), redactor };
    let commit = commit::create_commit(git, workspace, &tree, &target.start_commit, &parts).await?;
    let change = (target.start_commit.as_str(), commit.as_str());
    secret_scan::scan_change(git, &repository, change, Lines::Added, redactor).await?;
    let replies = load_replies(attempt, git, workspace, available).await;
    Ok(Some(WorkResult::from_finished_work(commit, results, replies, work)))
}

/// Applies the patch to the index alone: filters of the worktree could change it.
async fn apply_to_index(git: &Git, workspace: &Workspace, available: &AvailableCheckpoint) -> Result<String, GitError> {
    let repository = workspace.repository();
    let run = async |args: &[&str]| git.run_for_line(GitCall::new(args).repository(&repository)).await;
    run(&["read-tree", &available.metadata.start]).await?;
    let patch = available.folder.join(PATCH_FILE);
    run(&["apply", "--cached", "--binary", "--whitespace=nowarn", "--", &patch.to_string_lossy()]).await?;
    run(&["write-tree"]).await
}

async fn load_replies(
    attempt: &Attempt<'_>,
    git: &Git,
    workspace: &Workspace,
    available: &AvailableCheckpoint,
) -> AgentReplies {
    if attempt.assignment.revises.is_none() {
        return AgentReplies::default();
    }
    if let Ok(text) = fs::read_to_string(available.folder.join(REPLIES_FILE))
        && let Err(error) = replies::restore_replies_file(&workspace.tree(), &text)
    {
        tracing::warn!(error = %error, "cannot restore the agent's replies to reviewers: {error}");
    }
    replies::load_agent_replies(git, workspace).await
}
