//! Wake-ups: messages that say "look at this now". Losing one costs a minute, never a job: the table
//! holds the truth, and the sweeper sends them again.

use crate::Error;
use pullyard_domain::id::{JobId, ProjectId, TicketKey};
use serde::{Deserialize, Serialize};

/// What to look at. The body of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Wakeup {
    /// A job may need a task started.
    Job {
        /// Which.
        job: JobId,
    },
    /// A ticket may need settling.
    Ticket {
        /// Whose.
        project: ProjectId,
        /// Which.
        ticket: TicketKey,
    },
}

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

    /// Sends a wake-up. A ticket's go through a FIFO queue grouped by ticket, so that at most one
    /// write-back of a ticket is in flight.
    pub async fn send(&self, wakeup: &Wakeup) -> Result<(), Error> {
        let body = serde_json::to_string(wakeup).map_err(|error| Error::unavailable("write a wake-up", error))?;
        let call = self.client.send_message().message_body(body);
        let call = match wakeup {
            Wakeup::Job { .. } => call.queue_url(&self.dispatch_url),
            Wakeup::Ticket { project, ticket } => call
                .queue_url(&self.effects_url)
                .message_group_id(pullyard_domain::id::ticket_group(project, ticket))
                // Never deduplicated: two equal wake-ups are about two different changes.
                .message_deduplication_id(format!("{:032x}", rand::random::<u128>())),
        };
        call.send()
            .await
            .map_err(|error| Error::unavailable("send a wake-up", error))?;
        Ok(())
    }
}
