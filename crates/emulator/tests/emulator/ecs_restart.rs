//! Tasks that outlive the emulator, and their adoption by the next one.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::ecs_stop::STUBBORN;
use crate::support::{World, is_dead, wait_until, within_limit, world, world_with_options};

const RESTARTED: &str = "The host of the task was restarted.";

fn kill_process(pid: &str) {
    kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
}

async fn world_with_running_task() -> (World, String, String) {
    let world = world("echo pid $$; exec sleep 1000").await;
    let arn = world.run().await;
    world.wait_for_status(&arn, "RUNNING").await;
    let pid = world.wait_for_line(&arn, "pid ").await;
    (world, arn, pid)
}

async fn next_event(events: &mut UnboundedReceiver<Value>) -> Value {
    let event = within_limit("the next event", events.recv()).await.unwrap();
    event["detail"].clone()
}

#[tokio::test]
async fn running_task_is_adopted_and_its_end_sent_once() {
    let (world, arn, pid) = world_with_running_task().await;
    let before = world.describe(&arn).await;
    let world = world.crash().await.start().await;
    assert!(!is_dead(&pid));
    assert_eq!(world.describe(&arn).await, before);
    let mut events = world.aws.ecs().subscribe();
    kill_process(&pid);
    let task = world.wait_for_status(&arn, "STOPPED").await;
    assert_eq!(task["stopCode"], "EssentialContainerExited", "{task}");
    let reason = task["stoppedReason"].as_str().unwrap();
    assert!(reason.contains("exit code is unknown"), "{reason}");
    assert!(task["containers"][0].get("exitCode").is_none(), "{task}");
    world.shutdown().await;
    let detail = next_event(&mut events).await;
    assert_eq!((&detail["taskArn"], &detail["lastStatus"]), (&task["taskArn"], &json!("STOPPED")));
    assert!(events.try_recv().is_err());
}

#[tokio::test]
async fn stopped_task_is_deleted_only_after_its_event_was_sent() {
    let world = world_with_options(&["true"], |tasks| tasks.retention = Duration::ZERO).await;
    let untold = world.run().await;
    world.wait_for_status(&untold, "STOPPED").await;
    let world = world.crash().await.start().await;
    assert_eq!(world.describe(&untold).await["lastStatus"], "STOPPED", "its event was not sent");
    let mut events = world.aws.ecs().subscribe();
    while next_event(&mut events).await["lastStatus"] != "STOPPED" {}
    let folder = world.task_folder(&untold);
    let world = world.crash().await.start().await;
    wait_until("the task is deleted", || async { world.describe(&untold).await.is_null().then_some(()) }).await;
    assert!(!folder.exists());
    world.shutdown().await;
}

#[tokio::test]
async fn end_during_downtime_is_sent_to_the_first_subscriber() {
    let (world, arn, pid) = world_with_running_task().await;
    let before = world.describe(&arn).await;
    let remains = world.crash().await;
    kill_process(&pid);
    wait_until("the task is dead", || async { is_dead(&pid).then_some(()) }).await;
    let world = remains.start().await;
    let task = world.describe(&arn).await;
    assert_eq!(task["lastStatus"], "STOPPED");
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert_eq!(task["stoppedReason"], RESTARTED);
    assert_eq!(task["version"].as_u64().unwrap(), before["version"].as_u64().unwrap() + 1);
    assert!(task["stoppedAt"].as_f64().unwrap() >= task["startedAt"].as_f64().unwrap());
    assert!(task["containers"][0].get("exitCode").is_none());
    drop(world.aws.ecs().subscribe());
    let mut events = world.aws.ecs().subscribe();
    let detail = next_event(&mut events).await;
    assert_eq!((&detail["taskArn"], &detail["lastStatus"]), (&task["taskArn"], &json!("STOPPED")));
    let world = world.shutdown().await.start().await;
    let mut events = world.aws.ecs().subscribe();
    assert_eq!(world.describe(&arn).await, task);
    world.shutdown().await;
    assert!(events.try_recv().is_err(), "sent again");
}

#[tokio::test]
async fn task_not_started_before_a_crash_fails_to_start() {
    let world = world_with_options(&["/bin/sh", "-c", "echo started"], |options| {
        options.transition_delay = Duration::from_secs(600);
    })
    .await;
    let arn = world.run().await;
    let world = world.crash().await.start().await;
    let task = world.describe(&arn).await;
    assert_eq!(task["lastStatus"], "STOPPED");
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    assert_eq!(task["stoppedReason"], RESTARTED);
    assert_eq!(task["version"], 2);
    assert!(task.get("startedAt").is_none());
    assert!(!world.task_folder(&arn).join("stdout.log").exists());
    let mut events = world.aws.ecs().subscribe();
    assert_eq!(next_event(&mut events).await["stopCode"], "TaskFailedToStart");
    world.shutdown().await;
}

#[tokio::test]
async fn client_token_finds_its_task_after_each_restart() {
    let world = world("exec sleep 1000").await;
    let request = json!({ "taskDefinition": "job", "clientToken": "t" });
    let arn = async |world: &World| {
        let (status, answer) = world.ecs("RunTask", request.clone()).await;
        assert_eq!(status, 200, "{answer}");
        answer["tasks"][0]["taskArn"].clone()
    };
    let first = arn(&world).await;
    let world = world.crash().await.start().await;
    assert_eq!(arn(&world).await, first);
    let world = world.shutdown().await.start().await;
    assert_eq!(arn(&world).await, first);
    let other = json!({ "taskDefinition": "job", "clientToken": "t", "startedBy": "me" });
    let (status, conflict) = world.ecs("RunTask", other).await;
    assert_eq!((status, &conflict["__type"]), (400, &json!("ConflictException")));
    let (_, listed) = world.ecs("ListTasks", json!({})).await;
    assert_eq!(listed, json!({ "taskArns": [] }), "no task was started again");
    world.shutdown().await;
}

#[tokio::test]
async fn stop_kills_an_adopted_task_and_its_children() {
    let world = world_with_options(&["/bin/sh", "-c", STUBBORN], |options| {
        options.stop_timeout = Duration::from_millis(300);
    })
    .await;
    let arn = world.run().await;
    let mut pids = vec![world.wait_for_line(&arn, "leader ").await];
    for name in ["child ", "session ", "bare "] {
        pids.push(world.wait_for_line(&arn, name).await);
    }
    let world = world.crash().await.start().await;
    assert!(pids.iter().all(|pid| !is_dead(pid)));
    world.ecs("StopTask", json!({ "task": arn, "reason": "enough" })).await;
    let task = world.wait_for_status(&arn, "STOPPED").await;
    assert_eq!((&task["stopCode"], &task["stoppedReason"]), (&json!("UserInitiated"), &json!("enough")));
    assert!(task["containers"][0].get("exitCode").is_none());
    assert!(pids.iter().all(|pid| is_dead(pid)), "{pids:?}");
    world.shutdown().await;
}

#[tokio::test]
async fn interrupted_stop_continues_after_a_crash() {
    let world = world_with_options(&["/bin/sh", "-c", STUBBORN], |options| {
        options.stop_timeout = Duration::from_secs(600);
    })
    .await;
    let arn = world.run().await;
    let leader = world.wait_for_line(&arn, "leader ").await;
    world.ecs("StopTask", json!({ "task": arn, "reason": "enough" })).await;
    let mut remains = within_limit("the crash", world.crash()).await;
    assert!(!is_dead(&leader));
    remains.tasks.stop_timeout = Duration::from_millis(300);
    let world = remains.start().await;
    let task = world.wait_for_status(&arn, "STOPPED").await;
    assert_eq!((&task["stopCode"], &task["stoppedReason"]), (&json!("UserInitiated"), &json!("enough")));
    assert!(is_dead(&leader));
    world.shutdown().await;
}

#[tokio::test]
async fn shutdown_kills_an_adopted_task() {
    let (world, _, pid) = world_with_running_task().await;
    let world = world.crash().await.start().await;
    world.shutdown().await;
    assert!(is_dead(&pid));
}

#[tokio::test]
async fn process_with_a_reused_pid_is_not_adopted_or_killed() {
    let (world, arn, pid) = world_with_running_task().await;
    let remains = world.crash().await;
    let mut stranger = Command::new("sleep");
    // Detach the test's output, which the process would otherwise hold open after a failure.
    stranger.arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut stranger = stranger.process_group(0).kill_on_drop(true).spawn().unwrap();
    let other = stranger.id().unwrap();
    remains.edit(&arn, |state| {
        state["process"]["pid"] = json!(other);
        // Both processes may have started in the same clock tick, which a reused pid never does.
        let (boot, start) = state["process"]["startMark"].as_str().unwrap().split_once('/').unwrap();
        let before = start.parse::<u64>().unwrap() - 1;
        state["process"]["startMark"] = json!(format!("{boot}/{before}"));
    });
    let world = remains.start().await;
    let task = world.describe(&arn).await;
    assert_eq!((&task["lastStatus"], &task["stoppedReason"]), (&json!("STOPPED"), &json!(RESTARTED)));
    // The task's own process is killed because its environment has the task's mark.
    assert!(is_dead(&pid));
    world.shutdown().await;
    assert!(!is_dead(&other.to_string()));
    stranger.kill().await.unwrap();
}

#[tokio::test]
async fn orphaned_process_is_killed_at_the_restart() {
    let world = world("setsid sleep 1000 & echo orphan $!; echo pid $$; wait").await;
    let arn = world.run().await;
    let pid = world.wait_for_line(&arn, "pid ").await;
    let orphan = world.wait_for_line(&arn, "orphan ").await;
    let remains = world.crash().await;
    kill_process(&pid);
    wait_until("the task is dead", || async { is_dead(&pid).then_some(()) }).await;
    assert!(!is_dead(&orphan));
    let world = remains.start().await;
    assert!(is_dead(&orphan));
    world.shutdown().await;
}

#[tokio::test]
async fn task_folder_has_mode_0700() {
    let (world, arn, _) = world_with_running_task().await;
    let mode = std::fs::metadata(world.task_folder(&arn)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    world.shutdown().await;
}
