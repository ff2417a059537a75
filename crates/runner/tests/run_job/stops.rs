//! Tests stops of a run from outside.

use crate::world::{BRANCH, World, end_of};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pullyard_protocol::attempt::FinishOutcome;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::Instant;

/// Runs until it is stopped, with a change in the worktree.
const ENDLESS: &str = "echo hello > greeting.txt; trap '' TERM; echo waiting; while :; do sleep 0.05; done";

#[tokio::test]
async fn lost_lease_stops_the_agent_and_prevents_a_push() {
    let world = World::with_agent(ENDLESS).await;
    let runner = world.spawn(|_| ());
    world.api.wait_for_text("waiting").await;
    world.api.script(|script| script.refuse("events", 409, "lease_lost"));
    let ran = end_of(runner).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.left_running(), [""; 0]);
    assert!(world.api.finishes().is_empty());
    assert_eq!(world.api.statuses(), ["preparing", "executing"]);
    assert_eq!(world.head(BRANCH), None);
    assert!(world.worktrees().is_empty());
}

#[tokio::test]
async fn cancelled_job_finishes_as_cancelled() {
    let world = World::with_agent(ENDLESS).await;
    let runner = world.spawn(|_| ());
    world.api.wait_for_text("waiting").await;
    world.api.script(|script| script.cancel = true);
    assert_eq!(end_of(runner).await.code, Some(0));
    assert_eq!(world.left_running(), [""; 0]);
    let finish = world.api.finish();
    assert_eq!((finish.outcome, finish.failure, finish.result), (FinishOutcome::Cancelled, None, None));
    assert_eq!(world.head(BRANCH), None);
}

#[tokio::test]
async fn cancel_at_the_push_prevents_the_push() {
    let world =
        World::with_agent("echo hello > greeting.txt; echo waiting; while [ ! -e @DIR@/go ]; do sleep 0.02; done")
            .await;
    world.meanwhile(async || world.api.script(|script| script.refuse("status", 409, "unwanted"))).await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Cancelled);
    assert_eq!(world.head(BRANCH), None);
}

#[tokio::test]
async fn sigterm_stops_the_agent_without_a_finish() {
    let world = World::with_agent(ENDLESS).await;
    let runner = world.spawn(|_| ());
    world.api.wait_for_text("waiting").await;
    kill(Pid::from_raw(i32::try_from(runner.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
    let ran = end_of(runner).await;
    assert_eq!(ran.code, Some(143), "{}", ran.log);
    assert_eq!(world.left_running(), [""; 0]);
    assert!(world.api.finishes().is_empty());
    world.api.assign(|job| job.attempt = 2);
    world.api.assign(|job| {
        job.agent.command = ["sh", "-c", "cat greeting.txt && exit 5; echo bye > bye.txt"].map(String::from).to_vec()
    });
    assert_eq!(world.run().await.code, Some(0));
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
    assert!(world.worktrees().is_empty());
}

#[tokio::test]
async fn run_with_a_dead_parent_ends_and_removes_its_folder() {
    let world = World::with_agent(ENDLESS).await;
    let folder = world.outside("folder");
    std::fs::create_dir_all(folder.join("inner")).unwrap();
    // No process has this pid, as if the parent had died early.
    let orphaned = |command: &mut Command| {
        command.env("PULLYARD_PARENT", u32::MAX.to_string()).env("PULLYARD_PARENT_FOLDER", &folder);
    };
    let ran = world.run_with(orphaned).await;
    assert_eq!(ran.code, Some(143), "{}", ran.log);
    assert_eq!(world.left_running(), [""; 0]);
    assert!(world.api.finishes().is_empty());
    assert!(!folder.exists());
}

#[tokio::test]
async fn lost_claim_makes_no_further_call() {
    let world = World::with_agent("true").await;
    world.api.script(|script| script.refuse("start", 409, "lease_lost"));
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    for route in ["status", "events", "credentials", "finish"] {
        assert!(world.api.calls(route).is_empty(), "{route}");
    }
}

#[tokio::test]
async fn runner_without_a_valid_bootstrap_token_fails() {
    let world = World::with_agent("true").await;
    let ran = world
        .run_with(|command| {
            command.env("PULLYARD_BOOTSTRAP", "wrong");
        })
        .await;
    assert!(ran.code.is_some_and(|code| code != 0 && code != 143), "{}", ran.log);
    for empty in [None, Some("")] {
        let ran = world
            .run_with(|command| {
                match empty {
                    Some(empty) => command.env("PULLYARD_BOOTSTRAP", empty),
                    None => command.env_remove("PULLYARD_BOOTSTRAP"),
                };
            })
            .await;
        assert!(ran.log.contains("PULLYARD_BOOTSTRAP is not set"), "{}", ran.log);
    }
}

/// Waits until no process of the agent is left, for at most 20 seconds.
async fn nothing_is_left(world: &World) {
    let until = Instant::now() + Duration::from_secs(20);
    while !world.left_running().is_empty() {
        assert!(Instant::now() < until, "{:?}", world.left_running());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether this machine can run one of these command variants.
#[cfg(target_os = "linux")]
fn this_machine_has(program: &str, ways: &[&[&str]]) -> bool {
    let works = ways.iter().any(|args| {
        let tried = std::process::Command::new(program).args(*args).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    });
    if !works {
        eprintln!("skipped: {program} does not work on this machine");
    }
    works
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn killed_runner_ends_all_processes_of_its_agent() {
    let namespace = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let ways = [&namespace[..], &[&["--user", "--map-current-user"], &namespace[..]].concat()];
    if !this_machine_has("unshare", &ways) || !this_machine_has("setpriv", &[&["--pdeathsig", "KILL"]]) {
        return;
    }
    // A process without environment and session cannot be found later.
    let world = World::with_agent(
        "env -i PATH=$PATH setsid sh -c '(setsid sh -c \"echo > @DIR@/started; while :; do sleep 0.1; done\" &) & exit 0' >/dev/null 2>&1
         while [ ! -e @DIR@/started ]; do sleep 0.02; done; echo waiting; trap '' TERM HUP; while :; do sleep 0.05; done",
    )
    .await;
    let mut runner = world.spawn(|_| ());
    world.api.wait_for_text("waiting").await;
    runner.kill().await.unwrap();
    nothing_is_left(&world).await;
}

/// The next run in the folder finds leftover processes by the mark in their environment.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn killed_runner_ends_its_agent_without_a_namespace() {
    if !this_machine_has("setpriv", &[&["--pdeathsig", "KILL"]]) {
        return;
    }
    let world = World::with_agent("trap '' TERM HUP; echo waiting; while :; do sleep 0.05; done").await;
    let mut runner = world.spawn(|command| {
        command.env("PULLYARD_PROCESS_NAMESPACE", "off");
    });
    world.api.wait_for_text("waiting").await;
    runner.kill().await.unwrap();
    nothing_is_left(&world).await;
}
