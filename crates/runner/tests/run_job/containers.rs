//! Tests jobs in real containers. `.ci/containers` names the image; without it they are skipped.

use crate::api::Api;
use crate::checks::with_checks;
use crate::runner_api::{Daemon, RunnerApi};
use crate::world::{BRANCH, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pullyard_protocol::attempt::FinishOutcome;
use pullyard_sandbox::{Containers, Level};
use std::process::Command;
use std::time::Duration;

/// The settings of this test's containers, on the engine of `LEVEL` (`podman` if not given).
fn containers(world: &World) -> Option<(Level, Containers)> {
    let Ok(image) = std::env::var("PULLYARD_TEST_IMAGE") else {
        eprintln!("skipped: .ci/containers runs it");
        return None;
    };
    let level = std::env::var("PULLYARD_TEST_ENGINE").unwrap_or("podman".into()).parse().unwrap();
    let containers = Containers {
        image,
        network: "none".into(),
        host: std::env::var("PULLYARD_TEST_ENGINE_HOST").ok(),
        memory_bytes: 1 << 30,
        cpu_percent: Some(150),
        time_limit: Some(Duration::from_secs(60)),
        pool: 1,
        label: world.dir.path().display().to_string(),
        folder: world.work_dir().join("containers"),
    };
    Some((level, containers))
}

fn set_containers(command: &mut tokio::process::Command, (level, containers): &(Level, Containers)) {
    command.env("PULLYARD_ISOLATION", level.as_str());
    command.env("PULLYARD_CONTAINERS", serde_json::to_string(containers).unwrap());
}

/// This test's containers, running or not.
fn list((level, containers): &(Level, Containers)) -> String {
    let filter = format!("label=pullyard.runner={}", containers.label);
    let mut list = Command::new(level.as_str());
    list.args(containers.host.iter().flat_map(|host| ["--host", host])).args(["ps", "-aq", "--filter", &filter]);
    String::from_utf8(list.output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn hostile_agent_in_a_container_reaches_nothing() {
    let world = with_checks(
        "can() { name=$1; shift; if \"$@\" >/dev/null 2>&1; then echo \"can $name\"; fi >> greeting.txt; }
         echo started > greeting.txt
         can read cat @DIR@/secret
         can write sh -c 'echo x > @DIR@/pwned'
         can see-runner grep -sqz PULLYARD_BOOTSTRAP /proc/1/environ
         can see-work test -e ../git
         can write-image touch /usr/bin/x
         can gain unshare -U true
         can git git status
         (setsid sleep 600 &) ; echo ended >> greeting.txt",
        &["grep ended greeting.txt", "! test -e @DIR@/secret"],
        |_| (),
    )
    .await;
    let Some(containers) = containers(&world) else { return };
    std::fs::write(world.outside_path("secret"), "planted-secret").unwrap();
    let ran = world.run_with(|command| set_containers(command, &containers)).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = world.api.only_finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?} {}", ran.log);
    let work = finish.work.unwrap();
    assert_eq!((work.isolation.as_str(), work.checks.len()), (containers.0.as_str(), 2));
    assert_eq!(world.file_at(BRANCH, "greeting.txt").unwrap(), "started\ncan git\nended\n");
    assert!(!world.outside_path("pwned").exists());
    assert_eq!((list(&containers), world.leftover_processes()), (String::new(), Vec::new()));
}

#[tokio::test]
async fn container_ends_at_its_time_limit() {
    let world = World::with_agent("exec sleep 600").await;
    let Some((level, mut containers)) = containers(&world) else { return };
    containers.time_limit = Some(Duration::from_secs(1));
    let containers = (level, containers);
    let ran = world.run_with(|command| set_containers(command, &containers)).await;
    assert_eq!((ran.code, world.api.only_finish().outcome), (Some(0), FinishOutcome::Failed), "{}", ran.log);
    let log = world.api.event_texts();
    assert!(log.contains("the container reached its time limit of 1 s (DOCKER_TIMEOUT_SECONDS)"), "{log}");
    assert_eq!(list(&containers), "");
}

#[tokio::test]
async fn killed_runner_leaves_no_container() {
    let mut world = World::with_agent("echo waiting; trap '' TERM HUP; while :; do sleep 0.05; done").await;
    let Some((level, mut containers)) = containers(&world) else { return };
    let runner_api = RunnerApi::new();
    world.api = Api::start_with(world.api.assignment(), crate::world::TOKEN, runner_api.routes()).await;
    let job = world.api.assignment().job;
    runner_api.add_jobs(std::slice::from_ref(&job));
    let set = |command: &mut tokio::process::Command| {
        command.env("PULLYARD_ISOLATION", level.as_str()).env("DOCKER_EXECUTOR_IMAGE", &containers.image);
        command.env("DOCKER_POOL_SIZE", "1").env("DOCKER_HOST", containers.host.clone().unwrap_or_default());
    };
    let daemon = Daemon::start(world.dir.path(), &world.api.url, set);
    world.api.wait_for_text("waiting").await;
    let record = world.work_dir().join(format!("runners/kite.runner/jobs/{job}-1.json"));
    let record: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(record).unwrap()).unwrap();
    daemon.signal(Signal::SIGKILL);
    daemon.wait_for_exit().await;
    kill(Pid::from_raw(i32::try_from(record["pid"].as_i64().unwrap()).unwrap()), Signal::SIGKILL).unwrap();
    let instance = runner_api.last_call("register").body["instance"].as_str().unwrap().to_owned();
    let daemon = Daemon::start(world.dir.path(), &world.api.url, set);
    containers.label = instance;
    runner_api.wait_for_next_call("register").await;
    assert_eq!(list(&(level, containers)), "");
    daemon.signal(Signal::SIGKILL);
}
