//! Runs the project's setup commands in the worktree before the agent starts.
//! The agent can use the results of setup, but its change excludes them. Changed files of the repository are restored.
//! New files that the repository does not ignore are excluded from the commit.

use crate::api::event_draft::EventDraft;
use crate::git::changes::list_ignored;
use crate::git::nested;
use crate::git::{Git, GitCall, GitError};
use crate::job::project_command::{CommandLine, CommandRunner};
use crate::process::sandbox::TreeAccess;
use crate::stop::Stop;
use pullyard_domain::agent::checks::Setup;
use pullyard_domain::job::artifact::ArtifactKind;
use pullyard_domain::text::Span;
use pullyard_domain::text::failure::Failure;
use std::fmt::Write;
use std::time::Duration;

const OUTPUT_FILE: &str = "setup-output.txt";
/// Limit of each command's stored output. Units: bytes.
const MAX_OUTPUT_BYTES: usize = 1024 * 1024;

/// Errors: `SetupFailed`, `CommandNotAllowed`, and everything else that ends the attempt.
pub(crate) async fn run(command_runner: &CommandRunner<'_>, setup: &Setup, git: &Git, start: &str) -> Result<(), Stop> {
    if setup.commands.is_empty() {
        return Ok(());
    }
    let attempt = command_runner.attempt;
    attempt.events.add(EventDraft::phase("setup"));
    let mut output = String::new();
    let result = run_commands(command_runner, setup, &mut output).await;
    // Store the output in any case. The commands themselves may contain secrets.
    let output = attempt.redactor.redact_text(&output);
    attempt.artifacts.store_text(ArtifactKind::SetupOutput, OUTPUT_FILE, &output);
    result?;
    let restore = restore_tree(command_runner, git, start);
    attempt.unless_ordered(async { Ok(restore.await?) }).await
}

async fn run_commands(command_runner: &CommandRunner<'_>, setup: &Setup, output: &mut String) -> Result<(), Stop> {
    let limit = Duration::from_secs(setup.limit_secs);
    for (number, line) in (1..).zip(&setup.commands) {
        let (call, tree) = (format!("setup-{number}"), TreeAccess::Write);
        let command = CommandLine { line, call: &call, limit, max_output_bytes: MAX_OUTPUT_BYTES, tree };
        let result = command_runner.run(command).await?;
        let _ = writeln!(output, "$ {line}\n{}", result.output);
        if let Some(stop) = &result.stop {
            return Err(stop.clone());
        }
        if !result.is_success() {
            let exit = match result.exit {
                Some(exit) => exit.to_string(),
                None => format!("a stop after {}", Span::from(limit)),
            };
            return Err(Failure::SetupFailed { command: line.clone(), exit }.into());
        }
    }
    Ok(())
}

/// Restores git's view of the worktree, so that only the agent's work is a change.
async fn restore_tree(command_runner: &CommandRunner<'_>, git: &Git, start: &str) -> Result<(), GitError> {
    let workspace = command_runner.workspace;
    let (tree, repository) = (workspace.tree(), workspace.repository());
    // The commands run programs of the repository, which can find our repository.
    workspace.reset_repository().await?;
    nested::prepare_tree(workspace).await?;
    // Files with new times but old content are not written again, so they need no rebuild.
    git.run(GitCall::new(["update-index", "-q", "--refresh"]).repository(&repository).tree(&tree)).await?;
    // The branch has not moved. `reset` would search for a branch with the commit's name.
    git.run(GitCall::new(["read-tree", "--reset", "-u", start]).repository(&repository).tree(&tree)).await?;
    let args = ["ls-files", "-z", "--others", "--exclude-standard", "--directory", "--no-empty-directory"];
    let output = git.run(GitCall::new(args).repository(&repository).tree(&tree)).await?;
    workspace.snapshot_index().await?;
    workspace.exclude(&output).await?;
    workspace.set_ignored_before(list_ignored(git, workspace).await?);
    Ok(())
}
