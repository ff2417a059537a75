//! Tests events, claims and finishes whose answers are lost.

use crate::api::{Call, TASK};
use crate::world::{WAIT, World};
use pullyard_domain::id::JobId;
use pullyard_protocol::attempt::FinishOutcome;
use std::collections::HashMap;

const GREET: &str = "echo hello > greeting.txt; for n in 1 2 3 4 5 6 7 8 9; do echo line $n; sleep 0.02; done";

#[tokio::test]
async fn call_with_a_lost_answer_is_repeated_unchanged() {
    let world = World::with_agent(GREET).await;
    world.api.script(|script| {
        script.lose = HashMap::from([("start", 1), ("status", 1), ("events", 5), ("credentials", 1), ("finish", 2)])
    });
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);

    let starts = world.api.calls("start");
    assert_eq!(starts.len(), 2);
    assert_eq!(starts[0], starts[1]);
    let finishes = world.api.finishes();
    assert_eq!(finishes.len(), 3);
    assert!(finishes.iter().all(|finish| *finish == finishes[0] && finish.outcome == FinishOutcome::Completed));

    // A batch never changes between repeats, except for the growing ages of its events.
    let mut batches: HashMap<u64, (Call, Vec<u64>)> = HashMap::new();
    let mut repeats = 0;
    for mut call in world.api.calls("events") {
        if call.body["events"].as_array().unwrap().is_empty() {
            continue;
        }
        let first = call.body["first_seq"].as_u64().unwrap();
        let events = call.body["events"].as_array_mut().unwrap();
        let ages: Vec<u64> = events.iter_mut().map(|event| event["age_ms"].take().as_u64().unwrap()).collect();
        if let Some((told, before)) = batches.get(&first) {
            repeats += 1;
            assert_eq!(told, &call);
            assert!(before.iter().zip(&ages).all(|(before, age)| before <= age), "{before:?} {ages:?}");
        }
        batches.insert(first, (call, ages));
    }
    assert!(repeats > 0);
    let said = world
        .api
        .events()
        .iter()
        .filter(|event| event.text.as_ref().is_some_and(|text| text.starts_with("line ")))
        .count();
    assert_eq!(said, 9);
}

#[tokio::test]
async fn heartbeats_continue_while_the_agent_is_silent() {
    let world = World::with_agent(WAIT).await;
    let is_heartbeat = |call: &&Call| call.route == "events" && call.body["events"].as_array().unwrap().is_empty();
    let two = |calls: &[Call]| calls.iter().filter(is_heartbeat).count() >= 2;
    world.meanwhile(async || world.api.wait_for(two).await).await;
}

#[tokio::test]
async fn undelivered_finish_is_delivered_by_the_next_run() {
    let world = World::with_agent(GREET).await;
    world.api.script(|script| script.refuse("finish", 503, "busy"));
    let mut runner = world.spawn(|_| ());
    world.api.wait_for(|calls| calls.iter().any(|call| call.route == "finish")).await;
    runner.kill().await.unwrap();
    assert_eq!(world.letters().len(), 1);
    let first = world.api.finishes().remove(0);

    // The next run on this machine belongs to another job and is refused.
    world.api.script(|script| {
        script.refuse.clear();
        script.refuse("start", 409, "lease_lost");
    });
    let before = world.api.finishes().len();
    let other = JobId::new(format!("job_{}", "b".repeat(26))).unwrap();
    let ran = world
        .run_with(|command| {
            command.env("PULLYARD_JOB", other.as_str());
        })
        .await;
    assert!(ran.log.contains("earlier finish delivered"), "{}", ran.log);
    let after = world.api.finishes();
    assert_eq!(after.len(), before + 1);
    assert_eq!(after.last(), Some(&first));
    assert!(world.letters().is_empty());
}

#[tokio::test]
async fn late_finish_is_sent_only_once() {
    let world = World::with_agent(GREET).await;
    world.api.script(|script| script.refuse("finish", 409, "lease_lost"));
    assert_eq!(world.run().await.code, Some(0));
    assert_eq!(world.api.finishes().len(), 1);
    assert!(world.letters().is_empty());
}

#[tokio::test]
async fn refused_events_do_not_fail_the_job() {
    let world = World::with_agent(GREET).await;
    world.api.script(|script| script.refuse("events", 400, "bad_request"));
    assert_eq!(world.run().await.code, Some(0));
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed);
}

#[tokio::test]
async fn ecs_task_is_reported_when_ecs_names_it() {
    let world = World::with_agent(GREET).await;
    for (uri, task) in [(format!("{}/ecs", world.api.url), Some(TASK)), ("http://127.0.0.1:1".into(), None)] {
        world.api.script(|script| script.refuse("start", 409, "lease_lost"));
        let before = world.api.calls("start").len();
        let ran = world
            .run_with(|command| {
                command.env("ECS_CONTAINER_METADATA_URI_V4", uri);
            })
            .await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        let start = world.api.calls("start").remove(before);
        assert_eq!(start.body["task"].as_str(), task);
    }
}
