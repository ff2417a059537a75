//! Setting up the worktree before the agent: the project's commands, one after the other.
//!
//! What setup makes is there for the agent and is no part of its change: files of the repository that it changed
//! are put back, and new ones that the repository does not ignore are kept out of the commit.

use crate::api::said::Said;
use crate::git::nested;
use crate::git::workspace::mirror::Mirror;
use crate::git::{Call, Fault, Git};
use crate::job::beside::{Beside, Line};
use crate::stop::Stop;
use pullyard_domain::artifact::Kind;
use pullyard_domain::checks::Setup;
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Span;
use std::fmt::Write;
use std::time::Duration;

const OUTPUT: &str = "setup-output.txt";
/// How much of each command's output is kept. Units: bytes.
const MOST: usize = 1024 * 1024;

/// Runs the commands, until one fails.
///
/// Errors: `SetupFailed`, `CommandNotAllowed`, and whatever ends the attempt.
pub(crate) async fn run(
    beside: &Beside<'_>,
    setup: &Setup,
    (git, mirror): (&Git, &Mirror),
    start: &str,
) -> Result<(), Stop> {
    if setup.commands.is_empty() {
        return Ok(());
    }
    beside.this.events.add(Said::phase("setup"));
    let limit = Duration::from_secs(setup.limit_secs);
    let mut all = String::new();
    let mut ended = None;
    for (number, line) in (1..).zip(&setup.commands) {
        let call = format!("setup-{number}");
        let ran = match beside.run(Line { line, call: &call, limit, most: MOST }).await {
            Ok(ran) => ran,
            Err(stop) => {
                ended = Some(stop);
                break;
            }
        };
        let _ = writeln!(all, "$ {line}\n{}", ran.output);
        if ran.stopped.is_some() {
            ended = ran.stopped;
            break;
        }
        if !ran.is_well() {
            let exit = match ran.exit {
                Some(exit) => exit.to_string(),
                None => format!("a stop after {}", Span::from(limit)),
            };
            ended = Some(Failure::SetupFailed { command: line.clone(), exit }.into());
            break;
        }
    }
    // However it ended. The commands themselves may hold what nobody is to read.
    let all = beside.this.redactor.text(&all);
    beside.this.artifacts.keep(Kind::SetupOutput, OUTPUT, &all);
    match ended {
        Some(stop) => Err(stop),
        None => {
            let putting = put_back(beside, (git, mirror), start);
            beside.this.bounded(async { Ok(putting.await.map_err(of_workspace)?) }).await
        }
    }
}

fn of_workspace(fault: Fault) -> Failure {
    fault.of_workspace()
}

/// Makes the tree what it was for git, so that only what the agent does is a change.
async fn put_back(beside: &Beside<'_>, (git, mirror): (&Git, &Mirror), start: &str) -> Result<(), Fault> {
    let workspace = beside.workspace;
    let (tree, repository) = (workspace.tree(), workspace.repository());
    // The commands run the repository's own programs, which find ours.
    workspace.seal(Some(mirror)).await?;
    nested::make_way(workspace).await?;
    // What was touched only is not written again, and nothing is built anew for it.
    git.run(Call::new(["update-index", "-q", "--refresh"]).repository(&repository).tree(&tree)).await?;
    // The branch is where it was. `reset` would look for one of the commit's name.
    git.run(Call::new(["read-tree", "--reset", "-u", start]).repository(&repository).tree(&tree)).await?;
    let args = ["ls-files", "-z", "--others", "--exclude-standard", "--directory", "--no-empty-directory"];
    let made = git.run(Call::new(args).repository(&repository).tree(&tree)).await?;
    workspace.remember().await.map_err(Fault::Disk)?;
    workspace.exclude(&made).await.map_err(Fault::Disk)
}
