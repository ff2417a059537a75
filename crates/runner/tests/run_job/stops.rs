//! Everything that stops a run from outside.

use crate::world::{BRANCH, World, end_of};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pullyard_protocol::attempt::FinishOutcome;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::Instant;

/// Runs until it is stopped, and would have something to push.
const ENDLESS: &str = "echo hello > greeting.txt; trap '' TERM; echo waiting; while :; do sleep 0.05; done";

#[tokio::test]
async fn a_lost_lease_stops_the_agent_and_nothing_is_pushed() {
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
async fn a_cancelled_job_says_that_it_stopped() {
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
async fn a_job_cancelled_at_the_last_moment_is_not_pushed() {
    let world =
        World::with_agent("echo hello > greeting.txt; echo waiting; while [ ! -e @DIR@/go ]; do sleep 0.02; done")
            .await;
    world.meanwhile(async || world.api.script(|script| script.refuse("status", 409, "unwanted"))).await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Cancelled);
    assert_eq!(world.head(BRANCH), None);
}

#[tokio::test]
async fn sigterm_stops_the_agent_and_leaves_the_rest_to_the_control_plane() {
    let world = World::with_agent(ENDLESS).await;
    let runner = world.spawn(|_| ());
    world.api.wait_for_text("waiting").await;
    kill(Pid::from_raw(i32::try_from(runner.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
    let ran = end_of(runner).await;
    assert_eq!(ran.code, Some(143), "{}", ran.log);
    assert_eq!(world.left_running(), [""; 0]);
    assert!(world.api.finishes().is_empty());
    // The next attempt starts clean, whatever stands there.
    world.api.assign(|job| job.attempt = 2);
    world.api.assign(|job| {
        job.agent.command = ["sh", "-c", "cat greeting.txt && exit 5; echo bye > bye.txt"].map(String::from).to_vec()
    });
    assert_eq!(world.run().await.code, Some(0));
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
    assert!(world.worktrees().is_empty());
}

#[tokio::test]
async fn a_run_whose_parent_is_gone_ends_as_on_sigterm_and_removes_its_folder() {
    let world = World::with_agent(ENDLESS).await;
    let folder = world.outside("folder");
    std::fs::create_dir_all(folder.join("inner")).unwrap();
    // No process has that number: its parent was gone before it could look.
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
async fn an_attempt_that_somebody_else_has_is_left_alone() {
    let world = World::with_agent("true").await;
    world.api.script(|script| script.refuse("start", 409, "lease_lost"));
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    for route in ["status", "events", "credentials", "finish"] {
        assert!(world.api.calls(route).is_empty(), "{route}");
    }
}

#[tokio::test]
async fn a_runner_that_is_not_let_in_fails() {
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

/// Waits until nothing is left of the agent, for less than a next run would take to come.
async fn nothing_is_left(world: &World) {
    let until = Instant::now() + Duration::from_secs(20);
    while !world.left_running().is_empty() {
        assert!(Instant::now() < until, "{:?}", world.left_running());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether this machine makes process namespaces, and ends a program with who started it.
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
async fn a_killed_runner_takes_everything_along_that_its_agent_started() {
    let namespace = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let ways = [&namespace[..], &[&["--user", "--map-current-user"], &namespace[..]].concat()];
    if !this_machine_has("unshare", &ways) || !this_machine_has("setpriv", &[&["--pdeathsig", "KILL"]]) {
        return;
    }
    // What wiped its environment and left its session is found by nobody afterwards.
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

/// What left the agent meanwhile is found by the next run in the folder, by the mark in its environment.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_a_namespace_a_killed_runner_takes_its_agent_along() {
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
