//! Kills a runner after each git command that writes; the next attempt must end like an undisturbed one.
//!
//! A script named `git` precedes git in the runner's path. A kill before a command equals a kill after the previous
//! one, and a command that only reads leaves no state.

use crate::crash_walk::{Published, assert_same_ends};
use crate::prelude::*;
use crate::world::World;
use pullyard_protocol::attempt::AssignedStep;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use tokio::time::timeout;

const AGENT: &str = "cat > /dev/null; echo hello > greeting.txt";
/// The own branch of a step.
const OWN: &str = "pullyard/acme/run-1-left";
/// Least number of writing commands from the fetch to the push.
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

#[derive(Debug, PartialEq, Eq)]
struct OwnFinalState {
    outcome: FinishOutcome,
    has_pull_request: bool,
    names_head: bool,
    file: Option<String>,
    commits: String,
    worktrees: usize,
}

async fn own_branch_world() -> World {
    let world = World::with_agent(AGENT).await;
    let step = AssignedStep { has_own_branch: true, ..AssignedStep::default() };
    world.api.change_assignment(|job| (job.ticket, job.branch, job.step) = (None, OWN.into(), Some(step)));
    world
}

async fn own_final_state(world: &World) -> OwnFinalState {
    let finish = world.api.finishes().pop().unwrap();
    let result = finish.result.unwrap();
    let is_open = world.open_pull_request(OWN).await.is_some();
    OwnFinalState {
        outcome: finish.outcome,
        has_pull_request: is_open || result.pull_request.is_some(),
        names_head: world.branch_head(OWN) == Some(result.head),
        file: world.file_at(OWN, "greeting.txt"),
        commits: world.git_line(&["rev-list", "--count", &format!("main..{OWN}")]),
        worktrees: world.worktrees().len(),
    }
}

/// Finds the writing commands of an undisturbed runner, each with its index among all calls.
async fn find_changes(world: &World) -> Vec<(usize, String)> {
    let path = path_with_numbered_git(world, 0);
    let ran = world.run_under("PATH", path).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let calls = std::fs::read_to_string(call_log(world)).unwrap();
    let changes = calls.lines().map(str::to_owned).enumerate();
    let changes: Vec<_> = changes.filter(|(_, name)| !READ_COMMANDS.split(' ').any(|read| read == name)).collect();
    println!("{} calls of git, of which these change something: {changes:?}", calls.lines().count());
    changes
}

async fn run_after_kill(world: &World, at: usize) {
    let path = path_with_numbered_git(world, at);
    let mut runner = world.spawn(|command| {
        command.env("PATH", path);
    });
    let died = timeout(WAIT_LIMIT, runner.wait()).await.unwrap().unwrap();
    assert_eq!(died.signal(), Some(9), "the runner made no call {at}");
    world.api.change_assignment(|job| job.attempt = 2);
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "killed after call {at}: {}", ran.log);
}

#[tokio::test]
async fn job_survives_a_kill_after_any_git_call() {
    let world = World::with_agent(AGENT).await;
    let changes = find_changes(&world).await;
    let undisturbed = final_state(&world).await;
    assert_eq!(undisturbed.outcome, FinishOutcome::Completed);
    assert!(changes.len() >= MIN_CHANGES && changes.iter().any(|(_, name)| name == "push"), "{changes:?}");
    assert_same_ends(changes, &undisturbed, async |(at, _)| {
        let world = World::with_agent(AGENT).await;
        run_after_kill(&world, at + 1).await;
        final_state(&world).await
    })
    .await;
}

/// Only around the push, because the commands before it are the same for every job.
#[tokio::test]
async fn own_branch_survives_a_kill_around_its_push() {
    let world = own_branch_world().await;
    let changes = find_changes(&world).await;
    let push = changes.iter().position(|(_, name)| name == "push").unwrap();
    let undisturbed = own_final_state(&world).await;
    let expected = OwnFinalState {
        outcome: FinishOutcome::Completed,
        has_pull_request: false,
        names_head: true,
        file: Some("hello\n".into()),
        commits: "1".into(),
        worktrees: 0,
    };
    assert_eq!(undisturbed, expected);
    let around = changes.into_iter().skip(push - 1).take(2);
    assert_same_ends(around, &undisturbed, async |(at, _)| {
        let world = own_branch_world().await;
        run_after_kill(&world, at + 1).await;
        own_final_state(&world).await
    })
    .await;
}
