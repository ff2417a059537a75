//! Batches of messages: each is read and done by itself, and only what failed comes again.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::fmt::Display;

/// Does every message of a batch.
///
/// A body that can't be read fails alone: it comes again until the queue's redrive policy puts it into
/// the dead-letter queue. In a FIFO queue the rest of a failed message's group is left for later.
pub async fn each<M, E, F>(event: SqsEvent, act: impl Fn(M) -> F) -> SqsBatchResponse
where
    M: DeserializeOwned,
    E: Display,
    F: Future<Output = Result<(), E>>,
{
    let mut answer = SqsBatchResponse::default();
    let mut blocked = HashSet::new();
    for record in event.records {
        let id = record.message_id.clone().unwrap_or_default();
        let group = record.attributes.get("MessageGroupId").cloned();
        if group.as_ref().is_some_and(|group| blocked.contains(group)) {
            answer.add_failure(id);
            continue;
        }
        if let Err(reason) = one(&record, &act).await {
            let received = record.attributes.get("ApproximateReceiveCount").map(String::as_str).unwrap_or("1");
            tracing::error!(message.id = id, received, reason, "a message could not be done");
            answer.add_failure(id);
            blocked.extend(group);
        }
    }
    answer
}

async fn one<M, E, F>(record: &SqsMessage, act: &impl Fn(M) -> F) -> Result<(), String>
where
    M: DeserializeOwned,
    E: Display,
    F: Future<Output = Result<(), E>>,
{
    let body = record.body.as_deref().unwrap_or_default();
    let message = serde_json::from_str(body).map_err(|error| format!("it can't be read: {error}"))?;
    // Boxed: a use case's future holds the SDK's, and the compiler has to lay out all of it.
    Box::pin(act(message)).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    async fn check(records: Value, failed: &[&str]) {
        let event: SqsEvent = serde_json::from_value(json!({ "Records": records })).unwrap();
        let answer = each(event, async |message: Value| if message["ok"] == true { Ok(()) } else { Err("no") }).await;
        let ids: Vec<_> = answer.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
        assert_eq!(ids, failed);
    }

    #[tokio::test]
    async fn only_what_failed_comes_again() {
        check(
            json!([
                { "messageId": "good", "body": "{\"ok\":true}", "attributes": {} },
                { "messageId": "poison", "body": "not json", "attributes": {} },
                { "messageId": "failing", "body": "{\"ok\":false}", "attributes": {} },
                { "messageId": "fine", "body": "{\"ok\":true}", "attributes": {} },
            ]),
            &["poison", "failing"],
        )
        .await;
    }

    #[tokio::test]
    async fn the_rest_of_a_failed_group_waits() {
        let one = |id: &str, ok: bool, group: &str| json!({ "messageId": id, "body": json!({ "ok": ok }).to_string(), "attributes": { "MessageGroupId": group } });
        check(json!([one("a1", false, "a"), one("b1", true, "b"), one("a2", true, "a")]), &["a1", "a2"]).await;
    }
}
