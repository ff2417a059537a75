//! Verifies the results that the API reported in the demo: runs `git` in a fresh clone from the forge.

use super::agent::REPOSITORY;
use super::screen::DemoScreen;
use anyhow::{Context as _, ensure};
use pullyard_domain::job::JobResult;
use pullyard_domain::text::id::{JobId, TicketKey};
use pullyard_local::LocalSystem;
use std::path::Path;
use tokio::process::Command;

pub(super) struct ExpectedResult {
    pub(super) ticket: TicketKey,
    pub(super) job: JobId,
    pub(super) result: JobResult,
    pub(super) file: &'static str,
    pub(super) line: &'static str,
    pub(super) commits: u32,
}

/// `pullyard demo` calls this before it merges: afterwards `origin/main..branch` has no commits.
pub(super) async fn check(
    local: &LocalSystem,
    screen: &mut DemoScreen,
    results: &[&ExpectedResult],
) -> anyhow::Result<()> {
    let repository = local.forge().repository(REPOSITORY).await.context("the forge lost its repository")?;
    let folder = tempfile::Builder::new().prefix("pullyard-look-").tempdir()?;
    let clone = folder.path().join("clone");
    let git_dir = repository.git_dir.display().to_string();
    // `--no-hardlinks` copies the objects, as in a reviewer's clone. By default, git links a local repository's files.
    git(folder.path(), &["clone", "--quiet", "--no-hardlinks", &git_dir, &clone.display().to_string()]).await?;
    screen.ticket("git", "What a fresh clone shows");
    let branches =
        git(&clone, &["branch", "--remotes", "--list", "origin/pullyard/*", "--format=%(refname:short)"]).await?;
    ensure!(branches.lines().count() == results.len(), "there are {} branches: {branches}", branches.lines().count());
    for expected in results {
        let branch = format!("origin/{}", expected.result.branch);
        let head = git(&clone, &["rev-parse", &branch]).await?;
        ensure!(head.trim() == expected.result.head, "{branch} is at {}", head.trim());
        let message = git(&clone, &["log", "-1", "--format=%B", &branch]).await?;
        ensure!(message.contains(expected.job.as_str()), "the commit does not name its job:\n{message}");
        let commits = git(&clone, &["rev-list", "--count", &format!("origin/main..{branch}")]).await?;
        ensure!(commits.trim() == expected.commits.to_string(), "{branch} has {} commits", commits.trim());
        let content = git(&clone, &["show", &format!("{branch}:{}", expected.file)]).await?;
        ensure!(content.lines().any(|line| line.contains(expected.line)), "{} says: {content}", expected.file);
        let diff = git(&clone, &["diff", "--no-color", &format!("origin/main...{branch}")]).await?;
        let commit = head.trim().get(..8).unwrap_or_default();
        screen.step("git diff", &format!("{} at {}, commit {commit}", expected.ticket, expected.result.branch));
        let hunk = diff.lines().skip_while(|line| !line.starts_with("---")).collect::<Vec<_>>().join("\n");
        screen.block(&hunk);
    }
    Ok(())
}

async fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let run = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", if cfg!(windows) { "NUL" } else { "/dev/null" })
        .env("GIT_TERMINAL_PROMPT", "0")
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), run).await.context("git did not end")?;
    let output = output.context("failed to run git; is it installed?")?;
    ensure!(output.status.success(), "git {arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
