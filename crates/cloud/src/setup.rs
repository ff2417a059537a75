//! Creates queues for the local system and tests.

use crate::{Error, QueuePair};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;

const MAX_RECEIVES: u32 = 5;

/// SQS's maximum. Units: seconds.
const RETENTION_SECS: u32 = 14 * 86_400;

pub async fn create_dead_letter_queue(
    config: &aws_config::SdkConfig,
    endpoint: &str,
    name: &str,
) -> Result<String, Error> {
    create_retaining_queue(&client(config, endpoint), name.to_owned()).await
}

fn client(config: &aws_config::SdkConfig, endpoint: &str) -> aws_sdk_sqs::Client {
    let builder = aws_sdk_sqs::config::Builder::from(config).endpoint_url(endpoint);
    aws_sdk_sqs::Client::from_conf(builder.build())
}

async fn create_retaining_queue(client: &aws_sdk_sqs::Client, name: String) -> Result<String, Error> {
    let fifo = name.ends_with(".fifo").then(|| (QueueAttributeName::FifoQueue, "true".to_owned()));
    let retention = (QueueAttributeName::MessageRetentionPeriod, RETENTION_SECS.to_string());
    let call =
        client.create_queue().queue_name(name).set_attributes(Some(fifo.into_iter().chain([retention]).collect()));
    let queue = call.send().await.map_err(|error| Error::unavailable("create a dead-letter queue", error))?;
    Ok(queue.queue_url.unwrap_or_default())
}

/// Also creates the dead-letter queue. A name that ends in `.fifo` makes both FIFO.
pub async fn create_queue(
    config: &aws_config::SdkConfig,
    endpoint: &str,
    name: &str,
    visibility: Duration,
) -> Result<QueuePair, Error> {
    let client = client(config, endpoint);
    let fifo = name.ends_with(".fifo");
    let dead_name = match name.strip_suffix(".fifo") {
        Some(stem) => format!("{stem}-dead.fifo"),
        None => format!("{name}-dead"),
    };
    let kind = || fifo.then(|| (QueueAttributeName::FifoQueue, "true".to_owned()));
    let dead = create_retaining_queue(&client, dead_name).await?;
    let about = client
        .get_queue_attributes()
        .queue_url(&dead)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .map_err(|error| Error::unavailable("read a dead-letter queue's attributes", error))?;
    let arn = about.attributes().and_then(|all| all.get(&QueueAttributeName::QueueArn)).cloned().unwrap_or_default();
    let redrive = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES }).to_string();
    let attributes: HashMap<_, _> = kind()
        .into_iter()
        .chain([
            (QueueAttributeName::VisibilityTimeout, visibility.as_secs().to_string()),
            (QueueAttributeName::RedrivePolicy, redrive),
        ])
        .collect();
    let queue = client
        .create_queue()
        .queue_name(name)
        .set_attributes(Some(attributes))
        .send()
        .await
        .map_err(|error| Error::unavailable("create a queue", error))?;
    Ok(QueuePair { queue_url: queue.queue_url.unwrap_or_default(), dead_url: Some(dead) })
}
