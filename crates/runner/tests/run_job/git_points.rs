//! Kills a runner after each call of git that changes something; the next attempt must end like an undisturbed one.
//!
//! A script named `git` precedes git in the runner's path. A kill before a call equals a kill after the previous one,
//! and a reading call leaves nothing.

use crate::prelude::*;
use crate::world::World;
use futures::stream;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use tokio::time::timeout;

const AGENT: &str = "cat > /dev/null; echo hello > greeting.txt";
/// Least number of changing calls, from the fetch to the push.
const MIN_CHANGES: usize = 5;
const PARALLEL_WALKS: usize = 4;
const WAIT_LIMIT: Duration = Duration::from_secs(90);

const READ_COMMANDS: &[&str] = &[
    "--exec-path",
    "cat-file",
    "check-attr",
    "check-ref-format",
    "diff",
    "diff-index",
    "diff-tree",
    "for-each-ref",
    "log",
    "ls-files",
    "ls-remote",
    "ls-tree",
    "merge-base",
    "rev-list",
    "rev-parse",
    "show-ref",
    "status",
    "version",
];

#[derive(Debug, PartialEq, Eq)]
struct FinalState {
    outcome: FinishOutcome,
    file: Option<String>,
    commits: String,
    pull_request: u64,
    has_second_pull_request: bool,
    worktrees: usize,
}

pub(crate) fn path_with_git_script(world: &World, script: impl FnOnce(&str) -> String) -> OsString {
    let folder = world.outside_path("before-git");
    let path = std::env::var_os("PATH").unwrap();
    let git = std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.is_file()).unwrap();
    pullyard_test_script::write_script(folder.join("git"), &script(git.to_str().unwrap()));
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).unwrap()
}

fn path_with_numbered_git(world: &World, at: usize) -> OsString {
    let calls = call_log(world).display().to_string();
    path_with_git_script(world, |git| {
        format!(
            "echo \"$1\" >> '{calls}'\n[ $(wc -l < '{calls}') -eq {at} ] || exec '{git}' \"$@\"\n\
             '{git}' \"$@\"\nkill -KILL $PPID\n"
        )
    })
}

fn call_log(world: &World) -> PathBuf {
    world.outside_path("calls")
}

async fn final_state(world: &World) -> FinalState {
    let pull = world.open_pull_request(BRANCH).await.unwrap();
    FinalState {
        outcome: world.api.finishes().pop().unwrap().outcome,
        file: world.file_at(BRANCH, "greeting.txt"),
        commits: world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]),
        pull_request: pull.number,
        has_second_pull_request: world.forge.pull_snapshot("acme/app", pull.number + 1).await.unwrap().is_some(),
        worktrees: world.worktrees().len(),
    }
}

async fn run_undisturbed() -> (Vec<String>, FinalState) {
    let world = World::with_agent(AGENT).await;
    let path = path_with_numbered_git(&world, 0);
    let ran = world.run_under("PATH", path).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let calls = std::fs::read_to_string(call_log(&world)).unwrap();
    (calls.lines().map(str::to_owned).collect(), final_state(&world).await)
}

async fn final_state_after_kill(at: usize) -> FinalState {
    let world = World::with_agent(AGENT).await;
    let path = path_with_numbered_git(&world, at);
    let mut runner = world.spawn(|command| {
        command.env("PATH", path);
    });
    let died = timeout(WAIT_LIMIT, runner.wait()).await.unwrap().unwrap();
    assert_eq!(died.signal(), Some(9), "the runner made no call {at}");
    world.api.change_assignment(|job| job.attempt = 2);
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "killed after call {at}: {}", ran.log);
    final_state(&world).await
}

#[tokio::test]
async fn job_survives_a_kill_after_any_git_call() {
    let (calls, undisturbed) = run_undisturbed().await;
    assert_eq!(undisturbed.outcome, FinishOutcome::Completed);
    let changes: Vec<_> =
        calls.iter().enumerate().filter(|(_, name)| !READ_COMMANDS.contains(&name.as_str())).collect();
    println!("{} calls of git, of which {} change something", calls.len(), changes.len());
    assert!(changes.len() >= MIN_CHANGES && changes.iter().any(|(_, name)| *name == "push"), "{calls:?}");
    let walks = changes.into_iter().map(|(at, name)| async move { (name, final_state_after_kill(at + 1).await) });
    let ends: Vec<_> = stream::iter(walks).buffer_unordered(PARALLEL_WALKS).collect().await;
    for (name, end) in ends {
        assert_eq!(end, undisturbed, "killed after git {name}");
    }
}
