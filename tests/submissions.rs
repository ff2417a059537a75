//! Tests the queue of submissions as its senders and the operator live it.

use crate::dead_letters::{call_instance, renew_polls, send_message, set_visibility_timeout};
use crate::functions::invoke;
use crate::prelude::*;
use crate::templates::{ASK, runs, story, write};
use pullyard_domain::run::MAX_WAITING_RUNS;
use pullyard_domain::run::dead_letter::{Advice, Queue, Subject};
use pullyard_domain::text::id::RunId;
use pullyard_entry::Config;

const QUEUE: &str = "submissions";

fn message(id: &str, template: &str, params: Value) -> Value {
    json!({ "v": 1, "id": id, "project": "acme", "template": template, "params": params })
}

fn good_message(id: &str) -> String {
    message(id, "ask", json!({ "task": "T" })).to_string()
}

/// All messages have one group, as a sender may choose.
fn record(id: usize, body: &str) -> Value {
    json!({
        "messageId": id.to_string(), "body": body, "attributes": { "MessageGroupId": "one" },
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:submissions",
    })
}

fn failure(id: usize) -> Value {
    json!({ "itemIdentifier": id.to_string() })
}

/// The failed messages of a batch.
async fn handle(ctx: &Context, records: &[Value]) -> Value {
    invoke(ctx, "effects", json!({ "Records": records })).await.unwrap()["batchItemFailures"].take()
}

/// The code and the sentence of the only ledger entry of a submission.
async fn verdict(story: &Story, id: &str) -> String {
    let ledger = body(story, "/v1/deliveries?project=acme").await;
    let all = ledger["deliveries"].as_array().unwrap();
    let found: Vec<_> = all.iter().filter(|entry| entry["event"] == id).collect();
    assert_eq!(found.len(), 1, "{id}: {ledger:#}");
    format!("{} {}", found[0]["code"].as_str().unwrap(), found[0]["sentence"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn message_sent_fifty_times_is_one_run() {
    let (story, user, folder) = story().await;
    user.ok(&["templates", "put", "ask", "-f", &write(&folder, ASK)]).await;
    for _ in 0..50 {
        send_message(&story, QUEUE, &good_message("alert-17")).await;
    }
    story.wait_for_empty_queues().await;
    let found = runs(&story).await;
    assert_eq!((found.len(), &found[0]["by"]), (1, &json!("queue of submissions")));
    let send = async |id: &str| user.ok(&["submissions", "send", "ask", "--id", id, "--param", "task=T"]).await;
    assert_eq!(json!(send("alert-17").await.trim()), found[0]["id"], "by the API");
    let run = send("alert-18").await;
    send_message(&story, QUEUE, &good_message("alert-18")).await;
    story.wait_for_empty_queues().await;
    assert_eq!(runs(&story).await.len(), 2);
    for (id, run) in [("alert-17", found[0]["id"].as_str().unwrap()), ("alert-18", run.trim())] {
        let verdict = verdict(&story, id).await;
        assert!(verdict.starts_with("run_started") && verdict.contains(&RunId::new(run).unwrap().short()), "{verdict}");
    }
    let doubled = good_message("doubled").replace("\"v\":1", "\"v\":1,\"v\":1");
    send_message(&story, QUEUE, &doubled).await;
    story.wait_for_empty_queues().await;
    let verdict = verdict(&story, "doubled").await;
    assert!(verdict.starts_with("body_unreadable") && verdict.contains("`/v`: duplicate field"), "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousand_bad_messages_do_not_stop_a_good_one() {
    let (story, user, folder) = story().await;
    let file = write(&folder, ASK);
    user.ok(&["templates", "put", "ask", "-f", &file]).await;
    user.ok(&["templates", "put", "hand", "-f", &file, "--started-by", "hand"]).await;
    let mut of_version_2 = message("version", "ask", json!({ "task": "T" }));
    of_version_2["v"] = json!(2);
    let mut with_a_plan = message("plan", "ask", json!({ "task": "T" }));
    with_a_plan["plan"] = json!({ "name": "n", "steps": [{ "name": "a", "prompt": "Work." }] });
    let readable = [
        (message("none", "none", json!({})), "/template: there is no template none"),
        (message("hand", "hand", json!({ "task": "T" })), "/template: hand is not started by submission"),
        (message("range", "ask", json!({ "task": "T", "depth": "9" })), "`/params/depth`: use a whole number"),
        (message("missing", "ask", json!({})), "`/params/task`: the plan requires this parameter"),
        (message("long", "ask", json!({ "task": "x".repeat(4_097) })), "`/params/task`: use at most 4 KiB"),
        (message("number", "ask", json!({ "task": 5 })), "`/params/task`: invalid type"),
        (of_version_2, "`/v`: this version knows only 1"),
        (with_a_plan, "`/plan`: unknown field"),
    ];
    let dead = [
        "no JSON".to_owned(),
        "[".repeat(1_000),
        "{\"params\":".repeat(1_000),
        json!({ "id": "x", "project": "nobody", "template": "ask" }).to_string(),
        // An effect, which a sender must not cause.
        json!({ "project": "acme", "ticket": "APP-1" }).to_string(),
    ];
    let kinds = readable.iter().map(|(message, _)| (message.to_string(), false));
    let kinds: Vec<_> = kinds.chain(dead.iter().map(|body| (body.clone(), true))).collect();
    let mut bodies: Vec<_> = kinds.iter().cloned().cycle().take(998).collect();
    let large = message("large", "ask", json!({ "task": "x".repeat(250_000) }));
    bodies.extend([(large.to_string(), false), (good_message("good"), false)]);
    let ctx = story.function_context("dispatch", "effects.fifo").await;
    let since = Instant::now();
    for batch in bodies.chunks(10) {
        let records: Vec<_> = batch.iter().enumerate().map(|(n, (body, _))| record(n, body)).collect();
        let failed = batch.iter().enumerate().filter(|(_, (_, is_dead))| *is_dead).map(|(n, _)| failure(n));
        assert_eq!(handle(&ctx, &records).await, json!(failed.collect::<Vec<_>>()));
    }
    // The stack handles two batches at once.
    println!("1,000 submissions, one batch of ten after another: {:?}", since.elapsed());
    assert_eq!(runs(&story).await.len(), 1);
    assert!(verdict(&story, "good").await.starts_with("run_started"));
    for (message, fault) in readable {
        let verdict = verdict(&story, message["id"].as_str().unwrap()).await;
        let code = if fault.starts_with('`') { "body_unreadable" } else { "template_refused" };
        assert!(verdict.starts_with(code) && verdict.contains(fault), "{verdict}");
    }

    set_visibility_timeout(&story, QUEUE, "0").await;
    renew_polls(&story, QUEUE, ["a", "b"].map(|id| message(id, "none", json!({})))).await;
    for body in &dead {
        send_message(&story, QUEUE, body).await;
    }
    wait_until("each is a dead letter", async || {
        let found = story.api.dead_letters(Some(Queue::Submissions)).await.unwrap().letters.len();
        if found == dead.len() { Ok(()) } else { Err(format!("there are {found}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn submission_to_a_full_group_starts_once_it_has_room() {
    let (story, user, folder) = story().await;
    let plan = write(&folder, &format!("concurrency: {{group: release}}\n{ASK}"));
    user.ok(&["templates", "put", "ask", "-f", &plan]).await;
    send_message(&story, QUEUE, &good_message("first")).await;
    story.wait_for_empty_queues().await;
    let set_waiting = async |count: usize| {
        let id = |n: usize| RunId::for_request(&story.project, "a test", &n.to_string()).to_string();
        let waiting: serde_json::Map<String, Value> = (0..count).map(|n| (id(n), json!({ "N": "0" }))).collect();
        let request = json!({
            "TableName": "pullyard", "Key": { "pk": { "S": "RUN#acme#release" }, "sk": { "S": "GROUP" } },
            "UpdateExpression": "SET waiting = :waiting", "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeValues": { ":waiting": { "M": waiting } },
        });
        story.call_dynamodb("UpdateItem", request).await;
    };
    let ctx = story.function_context("dispatch", "effects.fifo").await;
    let second = [record(0, &good_message("second"))];
    set_waiting(MAX_WAITING_RUNS).await;
    assert_eq!(handle(&ctx, &second).await, json!([failure(0)]));
    assert!(verdict(&story, "second").await.contains("400 runs wait for the group release."));
    set_waiting(0).await;
    assert_eq!(handle(&ctx, &second).await, json!([]));
    assert!(verdict(&story, "second").await.starts_with("run_started"));
    assert_eq!(runs(&story).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_submission_starts_its_run_after_a_redrive() {
    let (story, user, folder) = story().await;
    user.ok(&["templates", "put", "ask", "-f", &write(&folder, ASK)]).await;
    let id = send_message(&story, "submissions-dead", &good_message("late")).await;
    let letter = story.api.dead_letters(Some(Queue::Submissions)).await.unwrap().letters.remove(0);
    let found = (letter.queue, letter.about, letter.advice);
    assert_eq!(found, (Queue::Submissions, Subject::Template, Advice::Redrive));
    assert_eq!((letter.name.as_deref(), letter.project.as_ref()), (Some("ask"), Some(&story.project)));
    assert_eq!(letter.sentence, "Starts template ask for submission late.");
    let table = user.ok(&["dlq"]).await;
    assert!(table.contains("submissions\t") && table.contains("\task\tredrive\t"), "{table}");
    assert_eq!(user.ok(&["dlq", "redrive", "--all", "--queue", "submissions"]).await.trim(), id);
    story.wait_for_empty_queues().await;
    assert!(verdict(&story, "late").await.starts_with("run_started"));
    assert_eq!(runs(&story).await.len(), 1);

    // A deployment without the queue has no such dead letters.
    let config = story.function_config("dispatch", "effects.fifo").await;
    let ctx = story.function_context_of(Config { submissions: None, ..config }).await;
    let (status, page) = call_instance(&story, &ctx, "GET /v1/dlq?queue=submissions", Value::Null).await;
    assert_eq!((status, page), (200, json!({ "letters": [], "more": false })));
}
