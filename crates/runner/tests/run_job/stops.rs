//! Tests stops of a run from outside.

use crate::attempt_ends::LEAVE_PROCESS_COMMAND;
#[cfg(target_os = "linux")]
use crate::prelude::*;
use crate::world::World;
use tokio::time::Instant;

#[tokio::test]
async fn cancel_at_the_push_prevents_the_push() {
    let world = World::with_agent(WAITING_AGENT).await;
    world.run_with_change(async || world.api.change_script(|script| script.refuse("status", 409, "unwanted"))).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Cancelled);
    assert_eq!(world.branch_head(BRANCH), None);
}

#[tokio::test]
async fn run_with_a_dead_parent_ends_and_removes_its_folder() {
    let world = World::with_agent("trap '' TERM; while :; do sleep 0.05; done").await;
    let folder = world.outside_path("folder");
    std::fs::create_dir_all(folder.join("inner")).unwrap();
    // No process has this pid, as if the parent had died early.
    let orphaned = |command: &mut Command| {
        command.env("PULLYARD_PARENT", u32::MAX.to_string()).env("PULLYARD_PARENT_FOLDER", &folder);
    };
    let ran = world.run_with(orphaned).await;
    assert_eq!(ran.code, Some(143), "{}", ran.log);
    assert_eq!(world.leftover_processes(), [""; 0]);
    assert!(world.api.finishes().is_empty());
    assert!(!folder.exists());
}

#[tokio::test]
async fn lost_claim_makes_no_further_call() {
    let world = World::with_agent("true").await;
    world.api.change_script(|script| script.refuse("start", 409, "lease_lost"));
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    for route in ["status", "events", "credentials", "finish"] {
        assert!(world.api.calls(route).is_empty(), "{route}");
    }
}

#[tokio::test]
async fn runner_without_a_valid_bootstrap_token_fails() {
    let world = World::with_agent("true").await;
    let ran = world.run_under("PULLYARD_BOOTSTRAP", "wrong").await;
    assert!(ran.code.is_some_and(|code| code != 0 && code != 143), "{}", ran.log);
    let ran = world.run_under("PULLYARD_BOOTSTRAP", "").await;
    assert!(ran.log.contains("PULLYARD_BOOTSTRAP is not set"), "{}", ran.log);
}

async fn wait_until_no_process(world: &World) {
    let until = Instant::now() + Duration::from_secs(20);
    while !world.leftover_processes().is_empty() {
        assert!(Instant::now() < until, "{:?}", world.leftover_processes());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether this machine can run one of these command variants.
#[cfg(target_os = "linux")]
fn can_run(program: &str, ways: &[&[&str]]) -> bool {
    let works = ways.iter().any(|args| {
        let tried = std::process::Command::new(program).args(*args).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    });
    if !works {
        eprintln!("skipped: {program} does not work on this machine");
    }
    works
}

/// Some containers allow the name space, but no mount in it.
#[cfg(target_os = "linux")]
pub(crate) fn can_mount() -> bool {
    let mount = ["--user", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /tmp"];
    can_run("unshare", &[&mount])
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn killed_runner_ends_all_processes_of_its_agent() {
    let namespace = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let ways = [&namespace[..], &[&["--user", "--map-current-user"], &namespace[..]].concat()];
    if !can_run("unshare", &ways) || !can_run("setpriv", &[&["--pdeathsig", "KILL"]]) {
        return;
    }
    // A process without environment and session cannot be found later.
    let agent = format!("{LEAVE_PROCESS_COMMAND}; echo waiting; trap '' TERM HUP; while :; do sleep 0.05; done");
    let world = World::with_agent(&agent).await;
    let mut runner = world.spawn(|_| ());
    world.api.wait_for_text("waiting").await;
    runner.kill().await.unwrap();
    wait_until_no_process(&world).await;
}
