//! Kills a runner after each call of git that changes something; the next attempt must end like an undisturbed one.
//!
//! A script named `git` precedes git in the runner's path. A kill before a call equals a kill after the previous one,
//! and a reading call leaves nothing.

use crate::crash_walk::{Published, assert_same_ends};
use crate::prelude::*;
use crate::world::World;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use tokio::time::timeout;

const AGENT: &str = "cat > /dev/null; echo hello > greeting.txt";
/// Least number of changing calls, from the fetch to the push.
const MIN_CHANGES: usize = 5;
const WAIT_LIMIT: Duration = Duration::from_secs(90);

const READ_COMMANDS: &str = "--exec-path cat-file check-attr diff diff-index diff-tree for-each-ref log \
     ls-files ls-remote ls-tree merge-base rev-list rev-parse show-ref status version";

#[derive(Debug, PartialEq, Eq)]
struct FinalState {
    outcome: FinishOutcome,
    published: Published,
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
    FinalState {
        outcome: world.api.finishes().pop().unwrap().outcome,
        published: Published::load(world).await,
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
    let changes: Vec<_> = calls
        .iter()
        .enumerate()
        .filter(|(_, name)| !READ_COMMANDS.split(' ').any(|read| read == name.as_str()))
        .collect();
    println!("{} calls of git, of which {} change something", calls.len(), changes.len());
    assert!(changes.len() >= MIN_CHANGES && changes.iter().any(|(_, name)| *name == "push"), "{calls:?}");
    assert_same_ends(changes, &undisturbed, async |(at, _)| final_state_after_kill(at + 1).await).await;
}
