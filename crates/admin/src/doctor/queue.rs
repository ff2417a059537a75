//! Finds queues with many waiting messages, dead letters and undelivered events.

use super::Finding;
use crate::aws::{Service, unreadable_response};
use crate::stack::Queue;
use crate::{Aws, Error, Stack};
use futures::future::join_all;
use serde_json::json;

/// More messages than this mean that the functions are too slow.
const MAX_WAITING: u64 = 1_000;

pub(super) async fn check(aws: &Aws, stack: &Stack) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for result in join_all(stack.queues.iter().map(|queue| check_queue(aws, stack, queue))).await {
        findings.extend(result?);
    }
    if let Some(url) = &stack.undelivered_queue_url {
        findings.extend(check_undelivered_queue(stack, count_messages(aws, url).await?));
    }
    if findings.is_empty() {
        findings.push(Finding::good("queue", "No queue is backed up, and there are no dead letters."));
    }
    Ok(findings)
}

async fn check_queue(aws: &Aws, stack: &Stack, queue: &Queue) -> Result<Vec<Finding>, Error> {
    let (waiting, dead) =
        tokio::try_join!(count_messages(aws, &queue.url), count_messages(aws, &queue.dead_letter_url))?;
    let mut findings = Vec::new();
    let name = queue.name;
    if waiting >= MAX_WAITING {
        let function = if name == "dispatch" { "dispatcher" } else { "effects" };
        findings.push(Finding::wrong(
            "queue",
            format!("The {name} queue is backed up: {waiting} messages are waiting."),
            format!(
                "Check the errors and throttles of the function that reads it: \
                 `aws logs tail /pullyard/{}/{function} --since 1h`.",
                stack.name
            ),
        ));
    }
    if dead > 0 {
        let messages = if dead == 1 { "1 message".into() } else { format!("{dead} messages") };
        findings.push(Finding::wrong(
            "queue",
            format!("The dead-letter queue of {name} has {messages} that failed too often."),
            "Show the causes with `pullyard dlq list`; then run `pullyard dlq redrive` or `pullyard dlq drop`.",
        ));
    }
    Ok(findings)
}

fn check_undelivered_queue(stack: &Stack, events: u64) -> Option<Finding> {
    let Stack { name, .. } = stack;
    let subject = match events {
        0 => return None,
        1 => "1 stopped task was".to_owned(),
        events => format!("{events} stopped tasks were"),
    };
    Some(Finding::warning(
        "queue",
        format!("{subject} not reported to the tasks function; the sweeper detects them later."),
        format!(
            "See why: `aws logs tail /pullyard/{name}/tasks --since 1d`. `pullyard dlq list --queue undelivered` \
             explains each; redrive or drop them."
        ),
    ))
}

async fn count_messages(aws: &Aws, url: &str) -> Result<u64, Error> {
    let name = "ApproximateNumberOfMessages";
    let answer = aws
        .call_json(Service::SQS, "GetQueueAttributes", &json!({ "QueueUrl": url, "AttributeNames": [name] }))
        .await?;
    let count = answer["Attributes"][name].as_str().and_then(|count| count.parse().ok());
    count.ok_or_else(|| unreadable_response("GetQueueAttributes"))
}
