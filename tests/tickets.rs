//! Tests of the events that a ticket tool sends.

mod rival;

use crate::story::{REVIEW, Setup, Story, TODO, TRIGGER, Task};
use futures::future::join_all;
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::DeliveryId;
use pullyard_domain::job::JobStatus;
use rival::Rival;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn ticket_becomes_a_pull_request() {
    let story = Story::begin().await;
    let job = story.job_for("e1", "APP-17", 1).await;
    let job = story.ended(&job).await;
    assert_eq!(job.status, JobStatus::Completed, "{:?}", job.failure);
    let result = job.result.unwrap();
    let ticket = story.settled("APP-17").await;
    assert_eq!(ticket.status, REVIEW);
    assert_eq!(ticket.pull_request, Some(result.url));
    assert_eq!(story.branches().await, ["pullyard/acme/app-17-1"]);
    assert_eq!(story.git(&["rev-parse", "pullyard/acme/app-17-1"]).await, result.head);
    assert!(story.git(&["log", "-1", "--format=%B", &result.head]).await.contains(job.id.as_str()));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_repeats_of_one_event_create_one_job() {
    let story = Story::waiting().await;
    let calls = (0..50).map(|_| story.tell("e1", "APP-1", TRIGGER, 1));
    let decisions = join_all(calls).await;
    let count = |verdict| decisions.iter().filter(|decision| decision.verdict == verdict).count();
    assert_eq!((count(Verdict::Accepted), count(Verdict::Duplicate)), (1, 49));
    let job = decisions.iter().find_map(|decision| decision.job.clone()).unwrap();
    for decision in decisions {
        assert_eq!(decision.job.as_ref(), Some(&job), "{}", decision.sentence);
    }
    assert_eq!(story.jobs().await.len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_concurrent_events_of_a_ticket_create_one_job() {
    let story = Story::waiting().await;
    let events = (0..50).map(|n| (format!("e{n}"), n)).collect::<Vec<_>>();
    let decisions = join_all(events.iter().map(|(event, n)| story.tell(event, "APP-1", TRIGGER, *n))).await;
    let mut codes = BTreeMap::new();
    for decision in &decisions {
        *codes.entry(decision.code.as_str()).or_insert(0) += 1;
        assert_eq!(story.api.delivery(&decision.delivery).await.unwrap().code, decision.code);
    }
    assert_eq!(codes.remove("accepted"), Some(1));
    assert!(codes.keys().all(|code| ["job_active", "status_unchanged", "stale_event"].contains(code)), "{codes:?}");
    assert_eq!(story.jobs().await.len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contended_entry_returns_503_and_creates_no_job() {
    let rival = Rival::start().await;
    let before_dynamodb = Some(rival.between());
    let story = Story::with(Setup { task: Task::Waiting, before_dynamodb, ..Setup::default() }).await;
    story.tell("e1", "APP-1", TODO, 1).await;
    let pk = format!("TICKET#{}#APP-1", story.project);
    let mut expected = story.item(&pk, "TICKET").await;
    let event = story.event("e2", "APP-1", TRIGGER, 2);
    let body = serde_json::to_vec(&event).unwrap();
    // Without the client, which would retry.
    let tell = || {
        let token = Some(story.local.admin_token());
        story.raw(reqwest::Method::POST, "/v1/tickets/events", token, body.clone())
    };
    rival.wants(Some(&pk));
    let (status, headers, said) = tell().await;
    assert_eq!((status, &said["code"]), (503, &json!("contended")), "{said}");
    assert_eq!((headers["retry-after"].to_str().unwrap(), rival.was_faster()), ("1", 5));
    // No job, no lock and no ledger entry; the ticket has the rival's five revisions.
    expected["rev"] = json!(expected["rev"].as_u64().unwrap() + 5);
    assert_eq!(story.item(&pk, "TICKET").await, expected);
    let delivery = DeliveryId::for_ticket_event(&story.project, &event.event_id);
    let entry = async || story.item(&format!("DELIVERY#{delivery}"), "DELIVERY").await;
    assert_eq!((entry().await, story.jobs().await.len()), (Value::Null, 0));
    rival.wants(None);
    let (status, _, said) = tell().await;
    assert_eq!((status, &said["code"]), (200, &json!("accepted")), "{said}");
    assert_eq!((entry().await["final"].clone(), story.jobs().await.len()), (json!(true), 1));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edit_in_the_trigger_column_starts_no_job() {
    let story = Story::waiting().await;
    story.job_for("e1", "APP-1", 1).await;
    let edit = story.tell("e2", "APP-1", TRIGGER, 2).await;
    assert_eq!(edit.code, "status_unchanged");
    assert_eq!(story.jobs().await.len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn move_by_a_user_during_the_job_is_not_overwritten() {
    let story = Story::begin().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.tell("e2", "APP-1", "Blocked", 2).await;
    assert_eq!(story.ended(&job).await.status, JobStatus::Completed);
    let ticket = story.settled("APP-1").await;
    assert_eq!(ticket.status, "Blocked");
    assert!(ticket.pull_request.is_some());
    assert_ne!(ticket.status, TODO);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_refusal_keeps_its_time_and_counts_repeats() {
    let story = Story::waiting().await;
    let first = story.tell("e1", "APP-1", TODO, 1).await;
    let before = story.api.delivery(&first.delivery).await.unwrap();
    for _ in 0..2 {
        assert_eq!(story.tell("e1", "APP-1", TODO, 1).await.code, "not_trigger_status");
    }
    let after = story.api.delivery(&first.delivery).await.unwrap();
    assert_eq!((after.at, before.repeats, after.repeats), (before.at, 0, 2));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_entry_keeps_its_time_and_uses_the_ticket_text() {
    let story = Story::waiting().await;
    story.settings(|settings| settings.auto_create = false).await;
    let (left, stays) = (story.tell("e1", "APP-1", TRIGGER, 1).await, story.tell("e2", "APP-2", TRIGGER, 1).await);
    assert_eq!([left.code, stays.code], ["auto_create_off"; 2]);
    story.tell("e3", "APP-1", TODO, 2).await;
    story.settings(|settings| settings.auto_create = true).await;
    assert_eq!(story.api.replay_delivery(&left.delivery).await.unwrap().code, "stale_event");
    assert!(story.jobs().await.is_empty());
    let replayed = story.api.replay_delivery(&stays.delivery).await.unwrap();
    assert_eq!(replayed.code, "accepted", "{}", replayed.sentence);
    let prompt = story.claim(&replayed.job.unwrap(), "c1").await.unwrap().0.prompt;
    assert!(prompt.contains("APP-2: About APP-2\n\nDo it."), "{prompt}");
    story.end().await;
}
