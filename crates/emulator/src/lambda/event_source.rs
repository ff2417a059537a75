//! Emulates a Lambda event-source mapping of an SQS queue, with partial batch responses.
//! Failed messages are not touched: the queue's visibility timeout and redrive policy apply. FIFO groups stay in order
//! because the queue returns no message of a group in flight.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::Function;
use super::invoke::Invoker;
use super::trigger::Trigger;
use crate::sqs::{CallError, Sqs};
use crate::{ACCOUNT, REGION};

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Maximum records per invocation, 1 to 10.
    pub batch_size: u8,
    pub concurrency: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { batch_size: 10, concurrency: 2 }
    }
}

/// Stops after the deletes of the current invocations.
#[must_use]
pub fn poll(sqs: &Sqs, queue_url: &str, options: Options, function: Function) -> Trigger {
    Trigger::spawn(function, |invoker, stop| {
        (0..options.concurrency.max(1))
            .map(|_| {
                Poller {
                    sqs: sqs.clone(),
                    queue_url: queue_url.to_owned(),
                    batch_size: options.batch_size.clamp(1, 10),
                    invoker: Arc::clone(invoker),
                    stop: stop.clone(),
                }
                .run()
            })
            .collect()
    })
}

struct Poller {
    sqs: Sqs,
    queue_url: String,
    batch_size: u8,
    invoker: Arc<Invoker>,
    stop: CancellationToken,
}

impl Poller {
    async fn run(self) {
        loop {
            // Messages received by a dropped poll become visible again, as on AWS.
            let received = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                received = self.receive() => received,
            };
            match received {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => self.deliver(messages).await,
                Err(error) => {
                    // AWS does not disable the mapping of a missing queue; it polls again.
                    tracing::warn!(%error, queue = self.queue_url, "SQS poll failed");
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    }
                }
            }
        }
    }

    async fn receive(&self) -> Result<Vec<Value>, CallError> {
        let request = json!({
            "QueueUrl": self.queue_url,
            "MaxNumberOfMessages": self.batch_size,
            "WaitTimeSeconds": 20,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        let mut answer = self.sqs.call("ReceiveMessage", &request).await?;
        match answer.get_mut("Messages").map(Value::take) {
            Some(Value::Array(messages)) => Ok(messages),
            _ => Ok(Vec::new()),
        }
    }

    async fn deliver(&self, messages: Vec<Value>) {
        let source = queue_arn(&self.queue_url);
        let records: Vec<Value> = messages.iter().map(|message| to_record(message, &source)).collect();
        let response = self.invoker.invoke(json!({ "Records": records })).await;
        let deletable = match &response {
            Ok(response) => deletable_records(&records, response),
            Err(error) => {
                tracing::warn!(error, queue = self.queue_url, "invocation for an SQS batch failed");
                Vec::new()
            }
        };
        for record in deletable {
            let request = json!({
                "QueueUrl": self.queue_url,
                "ReceiptHandle": record.get("receiptHandle"),
            });
            if let Err(error) = self.sqs.call("DeleteMessage", &request).await {
                tracing::warn!(%error, queue = self.queue_url, "handled SQS message will be redelivered");
            }
        }
    }
}

fn queue_arn(queue_url: &str) -> String {
    let name = queue_url.rsplit('/').next().unwrap_or_default();
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

fn to_record(message: &Value, source: &str) -> Value {
    let mut attributes = Map::new();
    if let Some(Value::Object(all)) = message.get("MessageAttributes") {
        for (name, attribute) in all {
            let mut value = json!({
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": attribute.get("DataType"),
            });
            for (from, to) in [("StringValue", "stringValue"), ("BinaryValue", "binaryValue")] {
                if let Some(field) = attribute.get(from) {
                    value[to] = field.clone();
                }
            }
            attributes.insert(name.clone(), value);
        }
    }
    let mut record = json!({
        "messageId": message.get("MessageId"),
        "receiptHandle": message.get("ReceiptHandle"),
        "body": message.get("Body"),
        "attributes": message.get("Attributes").cloned().unwrap_or_else(|| json!({})),
        "messageAttributes": attributes,
        "md5OfBody": message.get("MD5OfBody"),
        "eventSource": "aws:sqs",
        "eventSourceARN": source,
        "awsRegion": REGION,
    });
    if let Some(md5) = message.get("MD5OfMessageAttributes") {
        record["md5OfMessageAttributes"] = md5.clone();
    }
    record
}

/// Without reported failures, all records are deleted. An invalid report fails the whole batch, as on AWS. In a FIFO
/// queue, records after a failure in the same group are retained to preserve the order.
fn deletable_records<'a>(records: &'a [Value], response: &Value) -> Vec<&'a Value> {
    let reported = match response.get("batchItemFailures") {
        None | Some(Value::Null) => return records.iter().collect(),
        Some(Value::Array(failures)) => failures,
        Some(_) => return Vec::new(),
    };
    let mut failed: HashSet<&str> = HashSet::new();
    for failure in reported {
        let id = failure.get("itemIdentifier").and_then(Value::as_str);
        match id {
            Some(id) if records.iter().any(|record| text_field(record, "messageId") == id) => {
                failed.insert(id);
            }
            _ => {
                tracing::warn!("partial batch response has no record of its batch; the whole batch failed");
                return Vec::new();
            }
        }
    }
    let mut blocked: HashSet<&str> = HashSet::new();
    records
        .iter()
        .filter(|record| {
            let fifo = text_field(record, "eventSourceARN").ends_with(".fifo");
            let group = record.pointer("/attributes/MessageGroupId").and_then(Value::as_str).filter(|_| fifo);
            let is_failed =
                failed.contains(text_field(record, "messageId")) || group.is_some_and(|group| blocked.contains(group));
            if let (true, Some(group)) = (is_failed, group) {
                blocked.insert(group);
            }
            !is_failed
        })
        .collect()
}

fn text_field<'a>(record: &'a Value, name: &str) -> &'a str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(queue: &str, response: Value, expected: &[&str]) {
        let message = |id: &str, group: &str| {
            let message = json!({
                "MessageId": id, "Body": "", "Attributes": { "MessageGroupId": group },
            });
            to_record(&message, &queue_arn(queue))
        };
        let records = [message("1", "a"), message("2", "b"), message("3", "a"), message("4", "b")];
        let deletable: Vec<_> =
            deletable_records(&records, &response).into_iter().map(|record| text_field(record, "messageId")).collect();
        assert_eq!(deletable, expected, "{queue} {response}");
    }

    #[test]
    fn response_without_failures_completes_all_messages() {
        let all = &["1", "2", "3", "4"];
        check("http://h/0/q", Value::Null, all);
        check("http://h/0/q", json!({}), all);
        check("http://h/0/q", json!({ "batchItemFailures": null }), all);
        check("http://h/0/q", json!({ "batchItemFailures": [] }), all);
    }

    #[test]
    fn malformed_failure_report_completes_no_message() {
        check("http://h/0/q", json!({ "batchItemFailures": [{ "itemIdentifier": "" }] }), &[]);
        check("http://h/0/q", json!({ "batchItemFailures": [{ "itemIdentifier": null }] }), &[]);
        check("http://h/0/q", json!({ "batchItemFailures": [{ "id": "1" }] }), &[]);
        check("http://h/0/q", json!({ "batchItemFailures": [{ "itemIdentifier": "9" }] }), &[]);
        check("http://h/0/q", json!({ "batchItemFailures": "1" }), &[]);
    }

    #[test]
    fn failure_in_a_fifo_group_retains_later_messages() {
        let first = json!({ "batchItemFailures": [{ "itemIdentifier": "1" }] });
        check("http://h/0/q", first.clone(), &["2", "3", "4"]);
        check("http://h/0/q.fifo", first, &["2", "4"]);
        let last = json!({ "batchItemFailures": [{ "itemIdentifier": "4" }] });
        check("http://h/0/q.fifo", last, &["1", "2", "3"]);
    }
}
