//! Sends wake-ups: hints to process an item now. The sweeper replaces a lost one from the table within about a minute.

mod mailbox;

use crate::lazy::Lazy;
use crate::{Error, Tags, trace};
use aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder;
use pullyard_domain::run::wakeup::{
    JobWakeup, LookWakeup, NoticeWakeup, PollWakeup, PullRequestWakeup, QueuedReview, RunWakeup, TicketWakeup,
    call_group,
};
use pullyard_domain::text::id::derived::{pull_request_group, ticket_group};
use pullyard_domain::text::id::{IntegrationId, ProjectId};
use serde::Serialize;

#[derive(Clone, Debug)]
pub struct Wakeups {
    client: Lazy<aws_sdk_sqs::Client>,
    dispatch_url: String,
    effects_url: String,
    calls_url: String,
    mailbox_tags: Tags,
}

impl Wakeups {
    /// `dispatch_url` is a standard queue, the others are FIFO ones.
    pub fn new(
        config: &aws_config::SdkConfig,
        endpoint: Option<&str>,
        dispatch_url: impl Into<String>,
        effects_url: impl Into<String>,
        calls_url: impl Into<String>,
    ) -> Self {
        let (config, endpoint) = (config.clone(), endpoint.map(str::to_owned));
        Self {
            client: Lazy::new(move || {
                let mut builder = aws_sdk_sqs::config::Builder::from(&config);
                builder.set_endpoint_url(endpoint);
                aws_sdk_sqs::Client::from_conf(builder.build())
            }),
            dispatch_url: dispatch_url.into(),
            effects_url: effects_url.into(),
            calls_url: calls_url.into(),
            mailbox_tags: Tags::default(),
        }
    }

    /// Creates mailboxes with these tags.
    #[must_use]
    pub fn with_mailbox_tags(self, mailbox_tags: Tags) -> Self {
        Self { mailbox_tags, ..self }
    }

    pub async fn wake_job(&self, wakeup: &JobWakeup) -> Result<(), Error> {
        let call = self.client.send_message().queue_url(&self.dispatch_url).message_body(to_body(wakeup)?);
        let call = call.set_message_system_attributes(trace::message_attributes());
        send("send the wake-up of a job", call).await
    }

    /// Grouped by ticket, so that at most one update of a ticket is in flight.
    pub async fn wake_ticket(&self, wakeup: &TicketWakeup) -> Result<(), Error> {
        let group = ticket_group(&wakeup.project, &wakeup.ticket);
        self.send_fifo("send the wake-up of a ticket", group, to_body(wakeup)?).await
    }

    /// Continues the settling of a ticket where its tool may be called.
    pub async fn write_to_tool(&self, connection: &IntegrationId, wakeup: &TicketWakeup) -> Result<(), Error> {
        let group = call_group(connection.as_str(), &ticket_group(&wakeup.project, &wakeup.ticket));
        self.send_call("send the write of a ticket", group, to_body(wakeup)?).await
    }

    /// In the group of the ticket's writes, so that its tool is not read during a write.
    pub async fn look_at_ticket(&self, connection: &IntegrationId, wakeup: &LookWakeup) -> Result<(), Error> {
        let group = call_group(connection.as_str(), &ticket_group(&wakeup.look, &wakeup.ticket));
        self.send_call("send the look at a ticket", group, to_body(wakeup)?).await
    }

    pub async fn admit_job(&self, wakeup: &JobWakeup) -> Result<(), Error> {
        self.send_fifo("send the admission of a job", wakeup.job.to_string(), to_body(wakeup)?).await
    }

    /// Each pull request has one group, so that an older text never replaces a newer one.
    pub async fn wake_pull_request(&self, wakeup: &PullRequestWakeup) -> Result<(), Error> {
        let id = &wakeup.pull_request;
        let group = call_group(id.integration.as_str(), &pull_request_group(id));
        self.send_call("send the wake-up of a pull request", group, to_body(wakeup)?).await
    }

    /// Grouped by pull request, so that reviews are decided in order.
    pub async fn queue_review(&self, review: &QueuedReview) -> Result<(), Error> {
        let group = pull_request_group(&review.event.pull_request.id);
        self.send_fifo("queue a review", group, to_body(review)?).await
    }

    pub async fn wake_poll(&self, wakeup: &PollWakeup) -> Result<(), Error> {
        let subject = format!("poll-{}-{}", wakeup.poll, wakeup.repository);
        let group = call_group(wakeup.integration.as_str(), &subject);
        self.send_call("send the wake-up of a repository", group, to_body(wakeup)?).await
    }

    /// Grouped by endpoint, because its host may be in a secret; [`Self::send_notice`] sends it on.
    pub async fn wake_notice(&self, project: &ProjectId, wakeup: &NoticeWakeup) -> Result<(), Error> {
        let group = format!("notice-{project}-{}", wakeup.endpoint);
        self.send_call("send the wake-up of a notice", group, to_body(wakeup)?).await
    }

    /// `group`: of the endpoint's host.
    pub async fn send_notice(&self, group: String, wakeup: &NoticeWakeup) -> Result<(), Error> {
        self.send_call("send the wake-up of a notice", group, to_body(wakeup)?).await
    }

    /// Grouped by run, so that at most one move is in flight.
    pub async fn wake_run(&self, wakeup: &RunWakeup) -> Result<(), Error> {
        self.send_fifo("send the wake-up of a run", wakeup.advance.to_string(), to_body(wakeup)?).await
    }

    async fn send_fifo(&self, operation: &'static str, group: String, body: String) -> Result<(), Error> {
        self.send_to(&self.effects_url, operation, group, body).await
    }

    async fn send_call(&self, operation: &'static str, group: String, body: String) -> Result<(), Error> {
        self.send_to(&self.calls_url, operation, group, body).await
    }

    async fn send_to(&self, url: &str, operation: &'static str, group: String, body: String) -> Result<(), Error> {
        let call = self.client.send_message().queue_url(url).message_body(body).message_group_id(group);
        // Random, because two equal wake-ups may be about different changes.
        let call = call.message_deduplication_id(format!("{:032x}", rand::random::<u128>()));
        send(operation, call.set_message_system_attributes(trace::message_attributes())).await
    }
}

/// Boxed, because the future is large and most use cases have several.
fn send(operation: &'static str, call: SendMessageFluentBuilder) -> impl Future<Output = Result<(), Error>> {
    let sending = Box::pin(call.send());
    async move {
        sending.await.map_err(|error| Error::unavailable(operation, error))?;
        Ok(())
    }
}

/// Escapes two characters that SQS refuses; JSON contains them only in strings.
/// Source: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>.
fn to_body(wakeup: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_string(wakeup).map_err(|error| Error::unavailable("write a wake-up", error))?;
    Ok(json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::text::id::{ProjectId, TicketKey};

    #[test]
    fn body_escapes_characters_that_sqs_rejects() {
        let ticket = TicketKey::new("A\u{fffe}-\u{ffff}-\u{fffd}").unwrap();
        let wakeup = TicketWakeup { project: ProjectId::new("acme").unwrap(), ticket };
        let body = to_body(&wakeup).unwrap();
        assert_eq!(body, "{\"project\":\"acme\",\"ticket\":\"A\\ufffe-\\uffff-\u{fffd}\"}");
        assert_eq!(serde_json::from_str::<TicketWakeup>(&body).unwrap(), wakeup);
    }
}
