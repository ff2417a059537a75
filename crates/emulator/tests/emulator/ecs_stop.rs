//! Stopping a task kills all its processes.

use std::time::Duration;

use serde_json::json;

use crate::support::{is_dead, wait_until, within_limit, world, world_with_options};

/// The leader and its children ignore SIGTERM. One child left the session, one also cleared its environment.
pub(crate) const STUBBORN: &str = "
    trap '' TERM
    sleep 1000 & echo child $!
    setsid sleep 1000 & echo session $!
    env -i setsid sleep 1000 & echo bare $!
    echo leader $$
    while :; do sleep 1; done";

#[tokio::test]
async fn stop_kills_a_task_that_ignores_sigterm_with_its_children() {
    let world = world_with_options(&["/bin/sh", "-c", STUBBORN], |options| {
        options.stop_timeout = Duration::from_millis(300);
    })
    .await;
    let arn = world.run().await;
    let leader = world.wait_for_line(&arn, "leader ").await;
    let mut pids = vec![leader];
    for name in ["child ", "session ", "bare "] {
        pids.push(world.wait_for_line(&arn, name).await);
    }
    assert!(pids.iter().all(|pid| !is_dead(pid)));
    let request = json!({ "task": arn, "reason": "enough" });
    let (status, answer) = world.ecs("StopTask", request).await;
    assert_eq!(status, 200);
    assert_eq!(answer["task"]["desiredStatus"], "STOPPED");
    assert_eq!(answer["task"]["lastStatus"], "RUNNING");
    let task = world.wait_for_status(&arn, "STOPPED").await;
    assert_eq!(task["stopCode"], "UserInitiated");
    assert_eq!(task["stoppedReason"], "enough");
    assert_eq!(task["containers"][0]["exitCode"], 137);
    // All processes are dead as soon as the task is `STOPPED`.
    assert!(pids.iter().all(|pid| is_dead(pid)), "{pids:?}");
    let (status, again) = world.ecs("StopTask", json!({ "task": arn, "reason": "more" })).await;
    assert_eq!((status, &again["task"]), (200, &task));
    world.aws.shutdown().await;
}

#[tokio::test]
async fn task_that_handles_sigterm_keeps_its_exit_code() {
    let world = world("trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done").await;
    let mut events = world.aws.ecs().subscribe();
    let arn = world.run().await;
    world.wait_for_line(&arn, "ready").await;
    world.ecs("StopTask", json!({ "task": arn })).await;
    let task = world.wait_for_status(&arn, "STOPPED").await;
    assert_eq!(task["stopCode"], "UserInitiated");
    assert_eq!(task["containers"][0]["exitCode"], 9);
    let mut seen = Vec::new();
    while seen.last() != Some(&("STOPPED".to_owned(), "STOPPED".to_owned())) {
        let event = within_limit("the next event", events.recv()).await.unwrap();
        let text = |name: &str| event["detail"][name].as_str().unwrap().to_owned();
        seen.push((text("lastStatus"), text("desiredStatus")));
    }
    let expected = [
        ("PROVISIONING", "RUNNING"),
        ("PENDING", "RUNNING"),
        ("RUNNING", "RUNNING"),
        ("RUNNING", "STOPPED"),
        ("STOPPED", "STOPPED"),
    ];
    assert_eq!(seen, expected.map(|(last, desired)| (last.to_owned(), desired.to_owned())));
    world.aws.shutdown().await;
}

#[tokio::test]
async fn task_stopped_before_its_start_never_starts() {
    let world = world_with_options(&["/bin/sh", "-c", "echo started"], |options| {
        options.transition_delay = Duration::from_secs(600);
    })
    .await;
    let arn = world.run().await;
    world.ecs("StopTask", json!({ "task": arn })).await;
    let task = world.wait_for_status(&arn, "STOPPED").await;
    assert_eq!(task["stopCode"], "UserInitiated");
    assert!(task["containers"][0].get("exitCode").is_none());
    assert!(task.get("startedAt").is_none());
    assert!(!world.task_folder(&arn).join("stdout.log").exists());
    world.aws.shutdown().await;
}

#[tokio::test]
async fn orphaned_process_is_killed_with_its_task() {
    let world = world("setsid sleep 1000 & echo orphan $!").await;
    let arn = world.run().await;
    let task = world.wait_for_status(&arn, "STOPPED").await;
    assert_eq!(task["containers"][0]["exitCode"], 0);
    let orphan = world.wait_for_line(&arn, "orphan ").await;
    assert!(is_dead(&orphan));
    world.aws.shutdown().await;
}

#[tokio::test]
async fn dropping_aws_kills_its_tasks() {
    let world = world("echo pid $$; exec sleep 1000").await;
    let arn = world.run().await;
    let pid = world.wait_for_line(&arn, "pid ").await;
    drop(world);
    wait_until("the task is dead", || async { is_dead(&pid).then_some(()) }).await;
}
