//! Making queues where no template does it: in the local system and in tests.

use crate::{Error, Lane};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;

/// How often a message is tried before it goes to the dead-letter queue.
const TRIES: u32 = 5;

/// How long a dead letter is kept: as long as SQS can. Units: seconds.
const KEPT_DEAD: u32 = 14 * 86_400;

/// Makes a queue and its dead-letter queue, and returns where they are. A name that ends in `.fifo` makes
/// both FIFO.
pub async fn create_queue(
    config: &aws_config::SdkConfig,
    endpoint: &str,
    name: &str,
    visibility: Duration,
) -> Result<Lane, Error> {
    let builder = aws_sdk_sqs::config::Builder::from(config).endpoint_url(endpoint);
    let client = aws_sdk_sqs::Client::from_conf(builder.build());
    let fifo = name.ends_with(".fifo");
    let dead_name = match name.strip_suffix(".fifo") {
        Some(stem) => format!("{stem}-dead.fifo"),
        None => format!("{name}-dead"),
    };
    let kind = || fifo.then(|| (QueueAttributeName::FifoQueue, "true".to_owned()));
    let kept = (QueueAttributeName::MessageRetentionPeriod, KEPT_DEAD.to_string());
    let dead = client
        .create_queue()
        .queue_name(dead_name)
        .set_attributes(Some(kind().into_iter().chain([kept]).collect()))
        .send()
        .await
        .map_err(|error| Error::unavailable("make a dead-letter queue", error))?
        .queue_url
        .unwrap_or_default();
    let about = client
        .get_queue_attributes()
        .queue_url(&dead)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .map_err(|error| Error::unavailable("look at a dead-letter queue", error))?;
    let arn = about.attributes().and_then(|all| all.get(&QueueAttributeName::QueueArn)).cloned().unwrap_or_default();
    let redrive = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": TRIES }).to_string();
    let attributes: HashMap<_, _> = kind()
        .into_iter()
        .chain([
            (QueueAttributeName::VisibilityTimeout, visibility.as_secs().to_string()),
            (QueueAttributeName::RedrivePolicy, redrive),
        ])
        .collect();
    let made = client
        .create_queue()
        .queue_name(name)
        .set_attributes(Some(attributes))
        .send()
        .await
        .map_err(|error| Error::unavailable("make a queue", error))?;
    Ok(Lane { queue_url: made.queue_url.unwrap_or_default(), dead_url: Some(dead) })
}
