//! Wake-ups: messages that say "look at this now". Losing one costs a minute, never a job: the table
//! holds the truth, and the sweeper sends them again.

use crate::Error;
use pullyard_domain::id::ticket_group;
use pullyard_domain::wakeup::{JobWakeup, TicketWakeup};
use serde::Serialize;

/// The two queues.
#[derive(Clone, Debug)]
pub struct Wakeups {
    client: aws_sdk_sqs::Client,
    dispatch_url: String,
    effects_url: String,
}

impl Wakeups {
    /// `dispatch_url` is a standard queue, `effects_url` a FIFO one.
    pub fn new(
        config: &aws_config::SdkConfig,
        endpoint: Option<&str>,
        dispatch_url: impl Into<String>,
        effects_url: impl Into<String>,
    ) -> Self {
        let mut builder = aws_sdk_sqs::config::Builder::from(config);
        builder.set_endpoint_url(endpoint.map(str::to_owned));
        Self {
            client: aws_sdk_sqs::Client::from_conf(builder.build()),
            dispatch_url: dispatch_url.into(),
            effects_url: effects_url.into(),
        }
    }

    /// Wakes whoever starts tasks.
    pub async fn wake_job(&self, wakeup: &JobWakeup) -> Result<(), Error> {
        let call = self.client.send_message().queue_url(&self.dispatch_url).message_body(body(wakeup)?);
        call.send().await.map_err(|error| Error::unavailable("send the wake-up of a job", error))?;
        Ok(())
    }

    /// Wakes whoever settles tickets. The queue is FIFO, grouped by ticket, so that at most one
    /// write-back of a ticket is in flight.
    pub async fn wake_ticket(&self, wakeup: &TicketWakeup) -> Result<(), Error> {
        self.client
            .send_message()
            .queue_url(&self.effects_url)
            .message_body(body(wakeup)?)
            .message_group_id(ticket_group(&wakeup.project, &wakeup.ticket))
            // Never deduplicated: two equal wake-ups are about two different changes.
            .message_deduplication_id(format!("{:032x}", rand::random::<u128>()))
            .send()
            .await
            .map_err(|error| Error::unavailable("send the wake-up of a ticket", error))?;
        Ok(())
    }
}

fn body(wakeup: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(wakeup).map_err(|error| Error::unavailable("write a wake-up", error))
}
