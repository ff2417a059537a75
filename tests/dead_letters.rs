//! Tests dead letters: how messages become dead, how they are shown, redriven and dropped.

use crate::prelude::*;
use pullyard_domain::run::dead_letter::{Advice, Queue, Subject};
use pullyard_domain::text::id::MessageId;
use pullyard_entry::{Config, ModelUrls, http};
use pullyard_protocol::dead_letter::{DeadLetter, MoveDeadLetters};

pub(crate) async fn send_message(story: &Story, queue: &str, body: &str) -> String {
    let mut request = json!({ "QueueUrl": story.queue_url(queue).await, "MessageBody": body });
    if queue.ends_with(".fifo") {
        request["MessageGroupId"] = json!(format!("group-{body}"));
        request["MessageDeduplicationId"] = json!(body);
    }
    story.local.aws().sqs().call("SendMessage", &request).await.unwrap()["MessageId"].as_str().unwrap().to_owned()
}

async fn list_letters(story: &Story) -> Vec<DeadLetter> {
    story.api.dead_letters(None).await.unwrap().letters
}

async fn only_letter(story: &Story) -> DeadLetter {
    let mut all = list_letters(story).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn selection(ids: &[&str]) -> MoveDeadLetters {
    MoveDeadLetters { messages: ids.iter().map(|id| MessageId::new(*id).unwrap()).collect() }
}

/// Sets how long a received message is hidden. With 0 a failing message reaches its fifth try at once.
pub(crate) async fn set_visibility_timeout(story: &Story, queue: &str, secs: &str) {
    let request = json!({ "QueueUrl": story.queue_url(queue).await, "Attributes": { "VisibilityTimeout": secs } });
    story.local.aws().sqs().call("SetQueueAttributes", &request).await.unwrap();
}

/// Lets all pollers of a queue begin another poll, with a message for each, because a poll keeps the timeout from its beginning.
pub(crate) async fn renew_polls(story: &Story, queue: &str, harmless: impl IntoIterator<Item = Value>) {
    for body in harmless {
        send_message(story, queue, &body.to_string()).await;
    }
    story.wait_for_empty_queues().await;
}

/// Calls the API of another instance, for example `GET /v1/dlq?queue=effects`; returns status and body.
pub(crate) async fn call_instance(story: &Story, ctx: &Context, call: &str, body: Value) -> (u64, Value) {
    let (method, address) = call.split_once(' ').unwrap();
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": { "authorization": format!("Bearer {}", story.local.admin_token()), "content-type": "application/json" },
        "requestContext": { "http": { "method": method, "path": path } }, "isBase64Encoded": false,
        "body": body.to_string(),
    });
    let answer =
        http::invoke(pullyard_function_api::router(ctx.clone(), "unknown", ModelUrls::default()), event).await.unwrap();
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    (answer["statusCode"].as_u64().unwrap(), body)
}

async fn story_without_hints() -> Story {
    Story::start_with(Setup { task: Task::Waiting, hints: HintDelivery::Drop, ..Setup::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_message_becomes_a_dead_letter_and_is_dropped() {
    let (story, user) = Story::with_user().await;
    set_visibility_timeout(&story, "dispatch", "0").await;
    let job = JobId::for_request(&story.project, "a test", "gone");
    renew_polls(&story, "dispatch", [json!({ "job": job }), json!({ "job": job })]).await;
    // SQS refuses ESC but accepts U+009B, which also begins terminal escape sequences.
    let poison = "\u{9b}31m{\"job\":\u{202e}5}\n";
    let message_id = send_message(&story, "dispatch", poison).await;
    let letter = wait_until("it is a dead letter", async || {
        list_letters(&story).await.pop().ok_or_else(|| "nothing is there".to_owned())
    })
    .await;
    assert_eq!(letter.id.as_str(), message_id, "the dead letter has another id than the message");
    assert_eq!((letter.queue, letter.about, letter.advice), (Queue::Dispatch, Subject::Unknown, Advice::Look));
    assert!(!letter.body.contains(['\u{9b}', '\u{202e}', '\n']), "{:?}", letter.body);
    // An unreadable message cannot be redriven: it would fail again.
    let short = &message_id[..8];
    user.run(&["dlq", "redrive", short]).await.assert_exit(3, "can't be requeued");
    assert_eq!(only_letter(&story).await.id.as_str(), message_id, "the refused letter is gone");
    let details = user.ok(&["dlq", "show", short]).await;
    assert!(details.contains("This version of Pullyard can't read it"), "{details}");
    // Without a terminal for the prompt nothing is dropped.
    user.run(&["dlq", "drop", short]).await.assert_exit(2, "no terminal");
    assert_eq!(user.ok(&["dlq", "drop", short, "--yes"]).await.trim(), message_id);
    assert!(list_letters(&story).await.is_empty());
    let output =
        user.run(&["dlq", "drop", &message_id, "--yes", "--json"]).await.assert_exit(5, "there is no dead letter");
    let answer: Value = serde_json::from_str(&output.out).expect("one JSON document");
    assert_eq!(answer["not_moved"], json!([message_id]));
    user.run(&["dlq", "show", &message_id]).await.assert_exit(5, "no dead letter");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_effect_succeeds_after_a_redrive() {
    let (story, user) = Story::with_user().await;
    // An unsettled ticket whose project does not exist.
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    story.wait_for_empty_queues().await;
    set_visibility_timeout(&story, "effects.fifo", "0").await;
    renew_polls(&story, "effects.fifo", (0..8).map(|n| json!({ "project": "acme", "ticket": format!("T-{n}") }))).await;
    let unsynced = json!({
        "TableName": "pullyard", "Key": { "pk": { "S": "TICKET#acme#APP-1" }, "sk": { "S": "TICKET" } },
        "UpdateExpression": "SET wanted.version = :v", "ExpressionAttributeValues": { ":v": { "N": "7" } },
    });
    story.call_dynamodb("UpdateItem", unsynced).await;
    let request =
        json!({ "TableName": "pullyard", "Key": { "pk": { "S": "PROJECT#acme" }, "sk": { "S": "SETTINGS" } } });
    let project = story.call_dynamodb("GetItem", request.clone()).await["Item"].clone();
    story.call_dynamodb("DeleteItem", request).await;
    let wakeup = json!({ "project": "acme", "ticket": "APP-1" }).to_string();
    let message_id = send_message(&story, "effects.fifo", &wakeup).await;
    let letter = wait_until("it is a dead letter", async || {
        list_letters(&story).await.pop().ok_or_else(|| "nothing is there".to_owned())
    })
    .await;
    assert_eq!(
        (letter.id.as_str(), letter.queue, letter.about),
        (message_id.as_str(), Queue::Effects, Subject::Ticket)
    );
    assert_eq!(letter.advice, Advice::Either);
    assert_eq!(letter.name.as_deref(), Some("APP-1"));
    assert_eq!(letter.body, wakeup);
    // Once the project is restored, the redriven message settles the ticket.
    set_visibility_timeout(&story, "effects.fifo", "30").await;
    story.call_dynamodb("PutItem", json!({ "TableName": "pullyard", "Item": project })).await;
    let table = user.ok(&["dlq"]).await;
    assert!(table.contains("effects\t") && table.contains("\tAPP-1\teither\t"), "{table}");
    let redriven = user.ok(&["dlq", "redrive", "--all"]).await;
    assert!(redriven.lines().any(|id| id == message_id), "{redriven}");
    story.wait_for_settled_ticket("APP-1").await;
    story.wait_for_empty_queues().await;
    // Polls that began with a timeout of 0 may have received messages twice, so further letters say nothing.
    assert!(list_letters(&story).await.iter().all(|letter| letter.id.as_str() != message_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn dispatch_letter_is_redriven_or_dropped_once() {
    let story = story_without_hints().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let start = json!({ "job": job }).to_string();
    let message_id = send_message(&story, "dispatch-dead", &start).await;
    let letter = only_letter(&story).await;
    assert_eq!((letter.advice, letter.name.as_deref()), (Advice::Either, Some(job.as_str())));
    // The redrive uses the functions' own queue, which holds the job's lost hint as well.
    let moved = story.api.redrive(&selection(&[&message_id])).await.unwrap();
    assert_eq!((moved.done.len(), moved.not_moved.len()), (1, 0));
    let request = json!({ "QueueUrl": story.queue_url("lost").await, "AttributeNames": ["All"] });
    let about = story.local.aws().sqs().call("GetQueueAttributes", &request).await.unwrap();
    assert_eq!(about["Attributes"]["ApproximateNumberOfMessages"], "2", "{about}");
    assert!(list_letters(&story).await.is_empty());
    let again = story.api.redrive(&selection(&[&message_id])).await.unwrap();
    assert_eq!(again.not_moved.iter().map(MessageId::as_str).collect::<Vec<_>>(), [message_id]);
    let copy = send_message(&story, "dispatch-dead", &start).await;
    story.api.drop_dead_letters(&selection(&[&copy])).await.unwrap();
    assert!(list_letters(&story).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_all_handles_more_than_one_page() {
    let story = story_without_hints().await;
    let user = User::of(&story);
    let job = JobId::for_request(&story.project, "a test", "gone");
    for n in 0..70 {
        let body = if n % 2 == 0 { json!({ "job": job }).to_string() } else { format!("poison {n}") };
        send_message(&story, "dispatch-dead", &body).await;
    }
    let page = story.api.dead_letters(None).await.unwrap();
    assert_eq!((page.letters.len(), page.more), (50, true));
    // A group of a FIFO queue is handled from its head.
    let build_request = async |n: usize| {
        json!({
            "QueueUrl": story.queue_url("effects-dead.fifo").await, "MessageBody": json!({ "project": "acme", "ticket": format!("T-{n}") }).to_string(),
            "MessageGroupId": "one", "MessageDeduplicationId": n.to_string(),
        })
    };
    for n in 0..3 {
        story.local.aws().sqs().call("SendMessage", &build_request(n).await).await.unwrap();
    }
    let ran = user.ok(&["dlq", "drop", "--all", "--yes", "--json"]).await;
    let moved: Value = serde_json::from_str(&ran).unwrap();
    let done = moved["done"].as_array().unwrap();
    assert_eq!(done.len(), 73, "{moved}");
    let in_turn = done.iter().filter(|letter| letter["queue"] == "effects").map(|letter| letter["name"].clone());
    assert_eq!(in_turn.collect::<Vec<_>>(), ["T-0", "T-1", "T-2"]);
    assert!(list_letters(&story).await.is_empty());
}

fn task_stopped_event(job: &JobId, task: &str) -> Value {
    let variables = json!([{ "name": "PULLYARD_BOOTSTRAP", "value": "a-token" }]);
    json!({ "detail-type": "ECS Task State Change", "source": "aws.ecs", "detail": {
        "taskArn": task, "lastStatus": "STOPPED", "startedBy": job.as_str(),
        "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
        "containers": [{ "name": "runner", "exitCode": 137 }],
        "overrides": { "containerOverrides": [{ "name": "runner", "environment": variables }] },
    } })
}

#[tokio::test(flavor = "multi_thread")]
async fn undelivered_task_stop_is_shown_redacted_and_redriven() {
    let story = story_without_hints().await;
    let user = User::of(&story);
    let job = story.create_job("e1", "APP-1", 1).await;
    story.send_wake_up(&job).await;
    let task = story.wait_for_task(&job, 1).await;
    story.wait_for_empty_queues().await;
    story.claim(&job, "c1").await.unwrap();
    let arn = task["taskArn"].as_str().unwrap();
    // First in Lambda's format after three failures, later in EventBridge's format for an unreachable target.
    let message = json!({ "requestContext": { "condition": "RetriesExhausted" }, "requestPayload": task_stopped_event(&job, arn) });
    let message_id = send_message(&story, "undelivered", &message.to_string()).await;
    let letter = only_letter(&story).await;
    assert_eq!((letter.queue, letter.about), (Queue::Undelivered, Subject::Job));
    assert_eq!(letter.advice, Advice::Redrive, "{}", letter.sentence);
    assert_eq!(letter.name.as_deref(), Some(job.as_str()));
    assert!(letter.sentence.starts_with("The tasks function failed three times"), "{}", letter.sentence);
    assert!(letter.body.contains(arn) && !letter.body.contains("a-token"), "{}", letter.body);
    assert_eq!(user.ok(&["dlq", "redrive", "--all", "--queue", "undelivered"]).await.trim(), message_id);
    let died = story.load_job_item(&job).await["run"]["died"].clone();
    assert!(died.is_object(), "the death is not recorded");
    assert!(list_letters(&story).await.is_empty());
    send_message(&story, "undelivered", &task_stopped_event(&job, arn).to_string()).await;
    let letter = only_letter(&story).await;
    assert!(letter.sentence.contains("was not reached"), "{}", letter.sentence);
    // A function that was not invoked has no log.
    let output = user.run(&["dlq", "show", letter.id.as_str()]).await;
    assert!(output.err.contains("if it was not invoked, see FailedInvocations of the rule"), "{output:?}");
    output.assert_success();
    user.ok(&["dlq", "redrive", "--all"]).await;
    assert_eq!(story.load_job_item(&job).await["run"]["died"], died, "the death was recorded twice");
    assert!(list_letters(&story).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn letter_stays_when_its_queue_refuses_the_redrive() {
    let story = story_without_hints().await;
    let job = JobId::for_request(&story.project, "a test", "gone");
    let message_id = send_message(&story, "dispatch-dead", &json!({ "job": job }).to_string()).await;
    let config = story.function_config("lost", "lost.fifo").await;
    let dispatch_queue_url = format!("{}-gone", config.dispatch_queue_url);
    let ctx = story.function_context_of(Config { dispatch_queue_url, ..config }).await;
    let (status, problem) =
        call_instance(&story, &ctx, "POST /v1/dlq/redrive", json!({ "messages": [message_id] })).await;
    assert_eq!((status, &problem["code"]), (503, &json!("unavailable")), "{problem}");
    assert_eq!(only_letter(&story).await.id.as_str(), message_id);
}
