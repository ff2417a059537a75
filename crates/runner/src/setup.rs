//! Setting up the worktree before the agent: the project's commands, one after the other.
//!
//! What setup makes is there for the agent and is no part of its change: files of the repository that it changed
//! are put back, and new ones that the repository does not ignore are kept out of the commit.

use crate::beside::{Beside, Line};
use crate::git::{self, Call, Fault, Git};
use crate::said::Said;
use crate::stop::Stop;
use crate::workspace::Mirror;
use pullyard_domain::artifact::Kind;
use pullyard_domain::checks::Setup;
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Span;
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

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
    let index = Index::of(&beside.workspace.repository()).await.map_err(|error| of_workspace(Fault::Disk(error)))?;
    let limit = Duration::from_secs(setup.limit_secs);
    let mut all = String::new();
    let mut failed = None;
    for (number, line) in (1..).zip(&setup.commands) {
        let call = format!("setup-{number}");
        let ran = beside.run(Line { line, call: &call, limit, most: MOST }).await?;
        let _ = writeln!(all, "$ {line}\n{}", ran.output);
        if !ran.is_well() {
            let exit = match ran.exit {
                Some(exit) => exit.to_string(),
                None => format!("a stop after {}", Span::from(limit)),
            };
            failed = Some(Failure::SetupFailed { command: line.clone(), exit });
            break;
        }
    }
    // The commands themselves may hold what nobody is to read.
    let all = beside.this.redactor.text(&all);
    beside.this.artifacts.keep(Kind::SetupOutput, OUTPUT, &all);
    match failed {
        Some(failure) => Err(failure.into()),
        None => {
            let putting = put_back(beside, (git, mirror), start, &index);
            beside.this.bounded(async { Ok(putting.await.map_err(of_workspace)?) }).await
        }
    }
}

fn of_workspace(fault: Fault) -> Failure {
    fault.of_workspace()
}

/// What git knew of the tree's files before setup.
///
/// Of an index that is made anew git knows no file's time: it would read all of them again, and take what it would write
/// otherwise today, the ends of lines of old files above all, for changes.
struct Index {
    path: PathBuf,
    content: Vec<u8>,
    /// A file that was written after its index is looked at again.
    written: SystemTime,
}

impl Index {
    async fn of(repository: &Path) -> io::Result<Self> {
        let path = repository.join("index");
        let written = tokio::fs::metadata(&path).await?.modified()?;
        Ok(Self { content: tokio::fs::read(&path).await?, written, path })
    }

    async fn put_back(&self) -> io::Result<()> {
        git::put(&self.path, &self.content).await?;
        File::options().write(true).open(&self.path)?.set_modified(self.written)
    }
}

/// Makes the tree what it was for git, so that only what the agent does is a change.
async fn put_back(
    beside: &Beside<'_>,
    (git, mirror): (&Git, &Mirror),
    start: &str,
    index: &Index,
) -> Result<(), Fault> {
    let workspace = beside.workspace;
    let (tree, repository) = (workspace.tree(), workspace.repository());
    // The commands run the repository's own programs, which find ours.
    git::seal(&repository, Some(mirror.dir())).await.map_err(Fault::Disk)?;
    // Each could hide from us what the agent does.
    git::remove(&repository.join("info/exclude")).await.map_err(Fault::Disk)?;
    index.put_back().await.map_err(Fault::Disk)?;
    // What was touched only is not written again, and nothing is built anew for it.
    git.run(Call::new(["update-index", "-q", "--refresh"]).repository(&repository).tree(&tree)).await?;
    git.run(Call::new(["reset", "--hard", "--quiet", start]).repository(&repository).tree(&tree)).await?;
    let args = ["ls-files", "-z", "--others", "--exclude-standard", "--directory", "--no-empty-directory"];
    let made = git.run(Call::new(args).repository(&repository).tree(&tree)).await?;
    workspace.exclude(&made).await.map_err(Fault::Disk)
}
