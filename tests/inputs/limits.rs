//! Tests the limits of values in requests about jobs, dead letters and runners.

use super::{check, story_without_hints};
use crate::prelude::*;
use pullyard_domain::job::{MAX_INPUT_CHARS, MAX_REASON_CHARS};
use pullyard_domain::project::MAX_HOLD_REASON_CHARS;
use pullyard_protocol::dead_letter::MAX_MESSAGES;
use pullyard_protocol::limits::{ACTIVE_JOBS, LABELS, NAME, STATUS};

fn jobs(count: usize) -> Value {
    (0..count).map(|number| format!("job_{number:0>26}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_reasons_are_not_empty_and_have_a_limit() {
    let story = story_without_hints().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    for (path, field, longest, inputs) in [
        (format!("/v1/jobs/{job}/answer"), "text", MAX_INPUT_CHARS, 0),
        ("/v1/projects/acme/hold".to_owned(), "reason", MAX_HOLD_REASON_CHARS, 1),
        (format!("/v1/jobs/{job}/cancel"), "reason", MAX_REASON_CHARS, 1),
    ] {
        let say = async |text: &str| story.call_as_admin(Method::POST, &path, json!({ field: text }).to_string()).await;
        for text in ["", " \n", &"ü".repeat(longest + 1)] {
            check(&path, &say(text).await, 400, "body_unreadable", Some(&format!("/{field}")));
        }
        let before = story.api.job(&job).await.unwrap();
        assert_eq!((before.cancel, before.inputs), (None, inputs), "{path}");
        let (status, _, response) = say(&"ü".repeat(longest)).await;
        assert_eq!(status, 200, "{path}: {response}");
    }
    let cancelled = story.api.job(&job).await.unwrap().cancel.unwrap();
    assert_eq!(cancelled.reason, Some("ü".repeat(MAX_REASON_CHARS)));
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letter_request_names_1_to_100_messages() {
    let story = story_without_hints().await;
    let order = async |path: &str, count: usize| {
        let named: Vec<_> = (0..count).map(|number| format!("m{number}")).collect();
        story.call_as_admin(Method::POST, path, json!({ "messages": named }).to_string()).await
    };
    for path in ["/v1/dlq/redrive", "/v1/dlq/drop"] {
        for count in [0, MAX_MESSAGES + 1] {
            check(path, &order(path, count).await, 400, "body_unreadable", Some("/messages"));
        }
    }
    let (status, _, response) = order("/v1/dlq/drop", MAX_MESSAGES).await;
    assert_eq!((status, response["not_moved"].as_array().map(Vec::len)), (200, Some(MAX_MESSAGES)), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_and_heartbeat_lists_have_limits() {
    let story = story_without_hints().await;
    let token = story.runner_token("t", None, None).await;
    let register = async |field: &str, value: Value| {
        let mut body = json!({
            "name": "kite", "instance": "i1", "capabilities": ["command"], "version": "0.1.0", "slots": 1,
        });
        body[field] = value;
        story.request(Method::POST, "/v1/runners", Some(&token), body.to_string().into_bytes()).await
    };
    let many = |count: usize| (0..count).map(|number| format!("label-{number}")).collect::<Value>();
    for (field, value) in [
        ("version", json!("")),
        ("version", json!("v".repeat(STATUS + 1))),
        ("labels", many(LABELS + 1)),
        ("labels", json!([""])),
        ("capabilities", many(LABELS + 1)),
        ("capabilities", json!(["command", "\u{7}"])),
        ("active", jobs(ACTIVE_JOBS + 1)),
    ] {
        let answer = register(field, value).await;
        check(field, &answer, 400, "body_unreadable", Some(&format!("/{field}")));
    }
    let (status, _, response) = register("active", jobs(ACTIVE_JOBS)).await;
    assert_eq!(status, 200, "{response}");
    let path = format!("/v1/runners/{}/heartbeat", response["runner"].as_str().unwrap());
    let beat = async |count: usize| {
        let body = json!({ "instance": "i1", "active": jobs(count) }).to_string().into_bytes();
        story.request(Method::POST, &path, Some(&token), body).await
    };
    check("a heartbeat", &beat(ACTIVE_JOBS + 1).await, 400, "body_unreadable", Some("/active"));
    assert_eq!(beat(ACTIVE_JOBS).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_validates_its_task_and_batches_have_1000_events() {
    let (story, job) = Story::with_job().await;
    let bootstrap = task_variable(&story.wait_for_task(&job, 1).await, "PULLYARD_BOOTSTRAP");
    let call = async |endpoint: &str, token: &str, body: Value| {
        let path = format!("/v1/jobs/{job}/attempts/1/{endpoint}");
        story.request(Method::POST, &path, Some(token), body.to_string().into_bytes()).await
    };
    let claim = |task: &str| json!({ "claim_id": "c1", "instance": "i1", "task": task });
    for task in ["", "a\nb", &"t".repeat(NAME + 1)] {
        let answer = call("start", &bootstrap, claim(task)).await;
        check("a task", &answer, 400, "body_unreadable", Some("/task"));
    }
    let (status, _, response) = call("start", &bootstrap, claim(&"t".repeat(NAME))).await;
    assert_eq!(status, 200, "{response}");
    let lease = response["lease"].as_str().unwrap().to_owned();
    let batch = |count: u64| {
        let events = (1..=count).map(|seq| json!({ "seq": seq, "age_ms": 0, "kind": "text", "text": "x" }));
        json!({ "first_seq": 1, "events": events.collect::<Vec<_>>() })
    };
    check("a batch", &call("events", &lease, batch(1_001)).await, 400, "body_unreadable", Some("/events"));
    let (status, _, response) = call("events", &lease, batch(1_000)).await;
    assert_eq!((status, &response["next_seq"]), (200, &json!(1_001)), "{response}");
}
