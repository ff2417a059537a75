//! Tests of the events that a ticket tool sends.

use crate::functions::invoke;
use crate::prelude::*;
use futures::future::join_all;
use pullyard_entry::config;
use pullyard_testkit::{Fault, Wire};

#[tokio::test(flavor = "multi_thread")]
async fn ticket_becomes_a_pull_request() {
    let story = Story::begin_story().await;
    let job = story.create_job("e1", "APP-17", 1).await;
    let job = story.wait_for_end(&job).await;
    assert_eq!(job.status, JobStatus::Completed, "{:?}", job.failure);
    let result = job.result.unwrap();
    let ticket = story.wait_for_settled_ticket("APP-17").await;
    assert_eq!(ticket.status, REVIEW);
    assert_eq!(ticket.pull_request, Some(result.url));
    assert_eq!(story.branches().await, ["pullyard/acme/app-17-1"]);
    assert_eq!(story.git(&["rev-parse", "pullyard/acme/app-17-1"]).await, result.head);
    assert!(story.git(&["log", "-1", "--format=%B", &result.head]).await.contains(job.id.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_repeats_of_one_event_create_one_job() {
    let story = Story::start_with_waiting_tasks().await;
    let calls = (0..50).map(|_| story.send_ticket_event("e1", "APP-1", TRIGGER, 1));
    let decisions = join_all(calls).await;
    let count = |verdict| decisions.iter().filter(|decision| decision.verdict == verdict).count();
    assert_eq!((count(Verdict::Accepted), count(Verdict::Duplicate)), (1, 49));
    let job = decisions.iter().find_map(|decision| decision.job.clone()).unwrap();
    for decision in decisions {
        assert_eq!(decision.job.as_ref(), Some(&job), "{}", decision.sentence);
    }
    assert_eq!(story.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_concurrent_events_of_a_ticket_create_one_job() {
    let story = Story::start_with_waiting_tasks().await;
    let events = (0..50).map(|n| (format!("e{n}"), n)).collect::<Vec<_>>();
    let decisions =
        join_all(events.iter().map(|(event, n)| story.send_ticket_event(event, "APP-1", TRIGGER, *n))).await;
    let mut codes = BTreeMap::new();
    for decision in &decisions {
        *codes.entry(decision.code.as_str()).or_insert(0) += 1;
        assert_eq!(story.api.delivery(&decision.delivery).await.unwrap().code, decision.code);
    }
    assert_eq!(codes.remove("accepted"), Some(1));
    assert!(codes.keys().all(|code| ["job_active", "status_unchanged", "stale_event"].contains(code)), "{codes:?}");
    assert_eq!(story.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn contended_entry_returns_503_and_creates_no_job() {
    let story = Story::start_with(Setup { task: Task::Waiting, hints: HintDelivery::Drop, ..Setup::default() }).await;
    // Another writer changes the ticket before each of the five tries.
    let wire = Wire::default();
    for _ in 0..5 {
        wire.fail_next("TransactWriteItems", Fault::cancelled(&["None", "ConditionalCheckFailed", "None"]));
    }
    let sdk = config::local_sdk_config(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
    let sdk = config::with_call_limit(sdk, WAIT_LIMIT).to_builder().http_client(wire).build();
    let ctx = story.function_config("lost", "lost.fifo").await.context(&sdk, story.clock.clone());
    let event = serde_json::to_string(&story.event("e1", "APP-1", TRIGGER, 1)).unwrap();
    let path = "/v1/tickets/events";
    let call = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": { "authorization": format!("Bearer {}", story.local.admin_token()), "content-type": "application/json" },
        "requestContext": { "http": { "method": "POST", "path": path } }, "isBase64Encoded": false, "body": event,
    });
    for (status, code, retry_after, jobs) in [(503, "contended", json!("1"), 0), (200, "accepted", Value::Null, 1)] {
        let answer = invoke(&ctx, "tickets", call.clone()).await.unwrap();
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!((&answer["statusCode"], &body["code"]), (&json!(status), &json!(code)), "{answer}");
        assert_eq!(answer["headers"]["retry-after"], retry_after, "{answer}");
        assert_eq!(story.jobs().await.len(), jobs);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_refusal_keeps_its_first_time() {
    let story = Story::start_with_waiting_tasks().await;
    let first = story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    let before = story.api.delivery(&first.delivery).await.unwrap();
    for _ in 0..2 {
        assert_eq!(story.send_ticket_event("e1", "APP-1", TODO, 1).await.code, "not_trigger_status");
    }
    let after = story.api.delivery(&first.delivery).await.unwrap();
    assert_eq!(after.at, before.at);
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_entry_keeps_its_time_and_uses_the_ticket_text() {
    let story = Story::start_with_waiting_tasks().await;
    story.update_settings(|settings| settings.auto_create = false).await;
    let (first, second) = (
        story.send_ticket_event("e1", "APP-1", TRIGGER, 1).await,
        story.send_ticket_event("e2", "APP-2", TRIGGER, 1).await,
    );
    assert_eq!([first.code, second.code], ["auto_create_off"; 2]);
    story.send_ticket_event("e3", "APP-1", TODO, 2).await;
    story.update_settings(|settings| settings.auto_create = true).await;
    assert_eq!(story.api.replay_delivery(&first.delivery).await.unwrap().code, "stale_event");
    assert!(story.jobs().await.is_empty());
    let replayed = story.api.replay_delivery(&second.delivery).await.unwrap();
    assert_eq!(replayed.code, "accepted", "{}", replayed.sentence);
    let prompt = story.claim(&replayed.job.unwrap(), "c1").await.unwrap().0.prompt;
    assert!(prompt.contains("APP-2: About APP-2\n\nDo it."), "{prompt}");
}
