//! Mailboxes: a queue for each self-hosted runner, from which API Gateway receives the runner's hints.
//! The names begin with the deployment's name, like the dispatch queue, because roles allow them by this prefix.

use super::{Wakeups, send};
use crate::Error;
use aws_sdk_sqs::types::QueueAttributeName;
use pullyard_domain::text::id::{JobId, MailboxId};

/// The sweeper repeats a hint that is older. Units: seconds.
const RETENTION_SECS: &str = "60";

impl Wakeups {
    pub fn mailbox_url(&self, mailbox: &MailboxId) -> String {
        let (folder, name) = self.dispatch_url.rsplit_once('/').unwrap_or_default();
        format!("{folder}/{}wake-{mailbox}", name.strip_suffix("dispatch").unwrap_or_default())
    }

    /// Idempotent: an existing queue stays, with its own tags.
    pub async fn create_mailbox(&self, mailbox: &MailboxId) -> Result<(), Error> {
        let url = self.mailbox_url(mailbox);
        let name = url.rsplit('/').next().unwrap_or_default();
        let call = self.client.create_queue().queue_name(name);
        let call = call.attributes(QueueAttributeName::MessageRetentionPeriod, RETENTION_SECS);
        let call = self.mailbox_tags.iter().fold(call, |call, (key, value)| call.tags(key, value));
        call.send().await.map_err(|error| Error::unavailable("create a mailbox", error))?;
        Ok(())
    }

    /// Idempotent: a missing queue is no error.
    pub async fn delete_mailbox(&self, mailbox: &MailboxId) -> Result<(), Error> {
        match self.client.delete_queue().queue_url(self.mailbox_url(mailbox)).send().await {
            Err(error) if !error.as_service_error().is_some_and(|error| error.is_queue_does_not_exist()) => {
                Err(Error::unavailable("delete a mailbox", error))
            }
            _ => Ok(()),
        }
    }

    /// Each hint has a number of its own, because a runner ignores the repetitions of SQS.
    pub async fn wake_runner(&self, mailbox: &MailboxId, job: &JobId) -> Result<(), Error> {
        let call = self.client.send_message().queue_url(self.mailbox_url(mailbox));
        send("send a hint to a runner", call.message_body(format!("wake {job} {:016x}", rand::random::<u64>()))).await
    }
}
