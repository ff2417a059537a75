//! Tests heartbeats, and events and finishes that are refused or undelivered.

use crate::api::{Call, TASK};
use crate::prelude::*;
use crate::world::World;

const COUNTING_AGENT: &str = "echo hello > greeting.txt; for n in 1 2 3 4 5 6 7 8 9; do echo line $n; sleep 0.02; done";

#[tokio::test]
async fn heartbeats_continue_while_the_agent_is_silent() {
    let world = World::with_agent(WAITING_AGENT).await;
    let is_heartbeat = |call: &&Call| call.route == "events" && call.body["events"].as_array().unwrap().is_empty();
    let two = |calls: &[Call]| calls.iter().filter(is_heartbeat).count() >= 2;
    world.run_with_change(async || world.api.wait_for(two).await).await;
}

#[tokio::test]
async fn undelivered_finish_is_delivered_by_the_next_run() {
    let world = World::with_agent(COUNTING_AGENT).await;
    world.api.change_script(|script| script.refuse("finish", 503, "busy"));
    let mut runner = world.spawn(|_| ());
    world.api.wait_for(|calls| calls.iter().any(|call| call.route == "finish")).await;
    runner.kill().await.unwrap();
    assert_eq!(world.outbox_files().len(), 1);
    let first = world.api.finishes().remove(0);

    // The next run on this machine belongs to another job and is refused.
    world.api.change_script(|script| {
        script.refusals.clear();
        script.refuse("start", 409, "lease_lost");
    });
    let before = world.api.finishes().len();
    let other = JobId::new(format!("job_{}", "b".repeat(26))).unwrap();
    let ran = world.run_under("PULLYARD_JOB", other.as_str()).await;
    assert!(ran.log.contains("earlier finish delivered"), "{}", ran.log);
    let after = world.api.finishes();
    assert_eq!(after.len(), before + 1);
    assert_eq!(after.last(), Some(&first));
    assert!(world.outbox_files().is_empty());
}

#[tokio::test]
async fn late_finish_is_sent_only_once() {
    let world = World::with_agent(COUNTING_AGENT).await;
    world.api.change_script(|script| script.refuse("finish", 409, "lease_lost"));
    assert_eq!(world.run().await.code, Some(0));
    assert_eq!(world.api.finishes().len(), 1);
    assert!(world.outbox_files().is_empty());
}

#[tokio::test]
async fn refused_events_do_not_fail_the_job() {
    let world = World::with_agent(COUNTING_AGENT).await;
    world.api.change_script(|script| script.refuse("events", 400, "bad_request"));
    world.completes().await;
}

#[tokio::test]
async fn ecs_task_is_reported_when_ecs_names_it() {
    let world = World::with_agent(COUNTING_AGENT).await;
    for (uri, task) in [(format!("{}/ecs", world.api.url), Some(TASK)), ("http://127.0.0.1:1".into(), None)] {
        world.api.change_script(|script| script.refuse("start", 409, "lease_lost"));
        let before = world.api.calls("start").len();
        let ran = world.run_under("ECS_CONTAINER_METADATA_URI_V4", uri).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        let start = world.api.calls("start").remove(before);
        assert_eq!(start.body["task"].as_str(), task);
    }
}
