//! Processes batches of SQS messages and returns only failed messages to the queue.

use crate::invocation::{record_id, run_in_span};
use crate::self_check;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use pullyard_cloud::trace;
use pullyard_domain::text::trace::TraceId;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashSet;
use std::fmt::Display;
use std::time::Instant;

/// Processes each message of a batch in its sender's trace, with a log line of its own.
/// An unreadable body fails alone. In a FIFO queue, a failed message defers the rest of its group.
pub async fn process_batch<M, E, F>(function: &'static str, event: SqsEvent, act: impl Fn(M) -> F) -> SqsBatchResponse
where
    M: DeserializeOwned,
    E: Display,
    F: Future<Output = Result<(), E>>,
{
    process_grouped_batch(function, event, |message, _| act(message)).await
}

/// Like [`process_batch`]; `act` also gets the message group, which is empty in a standard queue.
pub async fn process_grouped_batch<M, E, F>(
    function: &'static str,
    event: SqsEvent,
    act: impl Fn(M, String) -> F,
) -> SqsBatchResponse
where
    M: DeserializeOwned,
    E: Display,
    F: Future<Output = Result<(), E>>,
{
    let mut answer = SqsBatchResponse::default();
    let mut blocked = HashSet::new();
    for record in event.records {
        let id = record.message_id.clone().unwrap_or_default();
        // A standard queue has groups too, but no order.
        let group = record.attributes.get("MessageGroupId").filter(|_| is_fifo(&record)).cloned();
        if group.as_ref().is_some_and(|group| blocked.contains(group)) {
            answer.add_failure(id);
            continue;
        }
        let sender = record.attributes.get(TRACE_ATTRIBUTE).and_then(|header| TraceId::from_header(header));
        let act = |message| act(message, group.clone().unwrap_or_default());
        let part = log_message(&record, process_message(&record, &act));
        if run_in_span(function, None, sender.or_else(trace::current_trace), part).await.is_err() {
            answer.add_failure(id);
            blocked.extend(group);
        }
    }
    answer
}

pub fn is_fifo(record: &SqsMessage) -> bool {
    record.event_source_arn.as_ref().is_some_and(|arn| arn.ends_with(".fifo"))
}

const TRACE_ATTRIBUTE: &str = "AWSTraceHeader";

/// Message fields that are logged, with their names in log lines.
const LOGGED_FIELDS: [(&str, &str); 7] = [
    ("job", "job"),
    ("project", "project"),
    ("poll", "project"),
    ("ticket", "ticket"),
    ("recover", "hook"),
    ("advance", "run"),
    ("pull_request", "pull_request"),
];

async fn log_message(record: &SqsMessage, done: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let since = Instant::now();
    record_id("message_id", record.message_id.as_deref().unwrap_or_default());
    let body: Value = serde_json::from_str(record.body.as_deref().unwrap_or_default()).unwrap_or_default();
    for (field, name) in LOGGED_FIELDS {
        if let Some(value) = body.get(field).and_then(Value::as_str) {
            record_id(name, value);
        }
    }
    let done = done.await;
    let received = record.attributes.get("ApproximateReceiveCount").map(String::as_str).unwrap_or("1");
    let sender = record.attributes.get("SenderId").map(String::as_str);
    let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    match &done {
        Ok(()) => tracing::info!(received, ms, sender, "message handled"),
        Err(reason) => tracing::error!(received, ms, sender, reason, "message failed"),
    }
    done
}

async fn process_message<M, E, F>(record: &SqsMessage, act: &impl Fn(M) -> F) -> Result<(), String>
where
    M: DeserializeOwned,
    E: Display,
    F: Future<Output = Result<(), E>>,
{
    let body = record.body.as_deref().unwrap_or_default();
    if self_check::is_requested(body) {
        return Ok(());
    }
    let message = serde_json::from_str(body).map_err(|error| format!("cannot parse it: {error}"))?;
    // Boxed, because the SDK's futures are large and expensive to compile.
    Box::pin(act(message)).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    async fn check(records: Value, failed: &[&str]) {
        let event: SqsEvent = serde_json::from_value(json!({ "Records": records })).unwrap();
        let answer = process_batch(
            "effects",
            event,
            async |message: Value| if message["ok"] == true { Ok(()) } else { Err("no") },
        )
        .await;
        let ids: Vec<_> = answer.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
        assert_eq!(ids, failed);
    }

    #[tokio::test]
    async fn only_failed_messages_are_returned_for_retry() {
        check(
            json!([
                { "messageId": "good", "body": "{\"ok\":true}", "attributes": {} },
                { "messageId": "poison", "body": "not json", "attributes": {} },
                { "messageId": "failing", "body": "{\"ok\":false}", "attributes": {} },
                { "messageId": "fine", "body": "{\"ok\":true}", "attributes": {} },
                { "messageId": "checked", "body": self_check::SELF_CHECK, "attributes": {} },
            ]),
            &["poison", "failing"],
        )
        .await;
    }

    #[tokio::test]
    async fn only_a_fifo_queue_defers_the_rest_of_a_failed_group() {
        for (queue, failed) in [("effects.fifo", &["a1", "a2"][..]), ("submissions", &["a1"])] {
            let record = |id: &str, ok: bool, group: &str| {
                json!({
                    "messageId": id, "body": json!({ "ok": ok }).to_string(), "attributes": { "MessageGroupId": group },
                    "eventSourceARN": format!("arn:aws:sqs:eu-central-1:123456789012:{queue}"),
                })
            };
            check(json!([record("a1", false, "a"), record("b1", true, "b"), record("a2", true, "a")]), failed).await;
        }
    }
}
