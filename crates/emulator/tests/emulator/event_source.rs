//! Delivery of a queue's messages to a function, as by Lambda's event source mapping.
use std::sync::{Arc, Mutex};

use pullyard_emulator::lambda::event_source::{self, Options};
use serde_json::{Value, json};

use crate::support::{World, function, wait_until, world};

/// All handled records, in order.
type Log = Arc<Mutex<Vec<Value>>>;

async fn send(world: &World, queue: &str, body: &str) {
    let request = json!({ "QueueUrl": queue, "MessageBody": body });
    world.aws.sqs().call("SendMessage", &request).await.unwrap();
}

fn records(event: &Value) -> Vec<Value> {
    event["Records"].as_array().unwrap().clone()
}

fn message_bodies(log: &Log) -> Vec<String> {
    let log = log.lock().unwrap();
    log.iter().map(|record| record["body"].as_str().unwrap().to_owned()).collect()
}

async fn make_visible(world: &World, queue: &str, failed: &Log) {
    let record = wait_until("a record has failed", || async { failed.lock().unwrap().first().cloned() }).await;
    let request = json!({
        "QueueUrl": queue, "ReceiptHandle": record["receiptHandle"], "VisibilityTimeout": 0,
    });
    let sqs = world.aws.sqs();
    sqs.call("ChangeMessageVisibility", &request).await.unwrap();
}

fn failure(record: &Value) -> Value {
    json!({ "itemIdentifier": record["messageId"] })
}

#[tokio::test]
async fn only_failed_records_are_redelivered() {
    let world = world("true").await;
    let queue = world.queue("q", json!({ "VisibilityTimeout": "600" })).await;
    let request = json!({ "QueueUrl": queue, "MessageBody": "good", "MessageAttributes": {
        "Colour": { "DataType": "String", "StringValue": "red" },
    } });
    world.aws.sqs().call("SendMessage", &request).await.unwrap();
    send(&world, &queue, "bad").await;
    let log = Log::default();
    let shared_log = Arc::clone(&log);
    let failed = Log::default();
    let failing = Arc::clone(&failed);
    let partial = function(move |event| {
        let mut failures = Vec::new();
        for record in records(&event) {
            if record["body"] == "bad" && record["attributes"]["ApproximateReceiveCount"] == "1" {
                failures.push(failure(&record));
                failing.lock().unwrap().push(record.clone());
            }
            shared_log.lock().unwrap().push(record);
        }
        async move { Ok(json!({ "batchItemFailures": failures })) }
    });
    let source = event_source::poll(world.aws.sqs(), &queue, Options::default(), partial);
    make_visible(&world, &queue, &failed).await;
    world.wait_until_empty(&queue).await;
    let handled = message_bodies(&log);
    assert_eq!(handled.iter().filter(|body| *body == "good").count(), 1, "{handled:?}");
    assert_eq!(handled.iter().filter(|body| *body == "bad").count(), 2, "{handled:?}");
    assert!(source.invocations() >= 2);
    let log = log.lock().unwrap().clone();
    let good = log.iter().find(|record| record["body"] == "good").unwrap();
    assert_eq!(good["eventSource"], "aws:sqs");
    assert_eq!(good["eventSourceARN"], "arn:aws:sqs:us-east-1:000000000000:q");
    assert_eq!(good["awsRegion"], "us-east-1");
    assert_eq!(good["md5OfBody"], "755f85c2723bb39381c7379a604160d8");
    assert_eq!(good["messageAttributes"]["Colour"]["stringValue"], "red");
    for name in ["messageId", "receiptHandle"] {
        assert!(good[name].is_string(), "{good}");
    }
    let names = ["ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"];
    for name in names {
        assert!(good["attributes"][name].is_string(), "{name}: {good}");
    }
    source.shutdown().await;
    world.aws.shutdown().await;
}

#[tokio::test]
async fn message_that_always_fails_reaches_the_dead_letter_queue() {
    let world = world("true").await;
    let dead = world.queue("dead", json!({})).await;
    let policy = json!({
        "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 2,
    });
    let attributes = json!({ "VisibilityTimeout": "1", "RedrivePolicy": policy.to_string() });
    let queue = world.queue("q", attributes).await;
    send(&world, &queue, "poison").await;
    let log = Log::default();
    let shared_log = Arc::clone(&log);
    let failing = function(move |event| {
        shared_log.lock().unwrap().extend(records(&event));
        async { Err("always".to_owned()) }
    });
    let source = event_source::poll(world.aws.sqs(), &queue, Options::default(), failing);
    let found = wait_until("the dead-letter queue has the message", || async {
        let request = json!({ "QueueUrl": dead, "WaitTimeSeconds": 1 });
        let answer = world.aws.sqs().call("ReceiveMessage", &request).await.unwrap();
        answer["Messages"].get(0).cloned()
    })
    .await;
    assert_eq!(found["Body"], "poison");
    let log = log.lock().unwrap().clone();
    let counts: Vec<_> = log.iter().map(|record| &record["attributes"]["ApproximateReceiveCount"]).collect();
    assert_eq!(counts, ["1", "2"]);
    assert_eq!(source.invocations(), 2);
    source.shutdown().await;
    world.aws.shutdown().await;
}

#[tokio::test]
async fn shutdown_finishes_concurrent_invocations() {
    let world = world("true").await;
    let queue = world.queue("q", json!({})).await;
    let (let_go, wait) = tokio::sync::watch::channel(false);
    let slow = function(move |_| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|go| *go).await.unwrap();
            Ok(Value::Null)
        }
    });
    let options = Options { batch_size: 1, concurrency: 2 };
    let source = event_source::poll(world.aws.sqs(), &queue, options, slow);
    for body in ["1", "2", "3"] {
        send(&world, &queue, body).await;
    }
    wait_until("two invocations run", || async { (source.invocations() == 2).then_some(()) }).await;
    let stopping = tokio::spawn(source.shutdown());
    // The shutdown begins first, so that the third message is not started.
    tokio::task::yield_now().await;
    let_go.send_replace(true);
    stopping.await.unwrap();
    let request = json!({ "QueueUrl": queue, "AttributeNames": ["All"] });
    let answer = world.aws.sqs().call("GetQueueAttributes", &request).await.unwrap();
    assert_eq!(answer["Attributes"]["ApproximateNumberOfMessages"], "1");
    assert_eq!(answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"], "0");
    world.aws.shutdown().await;
}
