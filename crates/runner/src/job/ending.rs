//! Ends an attempt: sends its last events and artifacts, then its finish.

use crate::api::finish::deliver_finish;
use crate::api::ids;
use crate::api::outbox::{Outbox, PendingFinish};
use crate::attempt::{Attempt, LAST_EVENTS_TIMEOUT};
use crate::inputs::orders::Order;
use crate::job::deliver::Delivered;
use crate::stop::Stop;
use crate::{Error, Exit, RunJob};
use pullyard_domain::text::failure::Failure;
use pullyard_protocol::attempt::{Assignment, EventsRequest, FinishOutcome, FinishRequest};
use std::time::Duration;
use tokio::time::timeout;

/// Limit for the last artifacts. A cancelled job must stop and finish within a minute.
const LAST_ARTIFACTS_TIMEOUT: Duration = Duration::from_secs(30);
const SHUTDOWN_EVENTS_TIMEOUT: Duration = Duration::from_secs(3);
/// Longer, because the next attempt resumes from the checkpoint.
const SHUTDOWN_ARTIFACTS_TIMEOUT: Duration = Duration::from_secs(6);

const LAST_EVENT_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Ending<'a> {
    pub(super) attempt: &'a Attempt<'a>,
    pub(super) options: &'a RunJob,
    pub(super) outbox: &'a Outbox,
}

impl Ending<'_> {
    /// A shutdown sends no finish, only the cost: the next attempt continues.
    /// Errors: the finish could not be delivered; it stays in the outbox.
    pub(super) async fn report(&self, result: Result<Delivered, Stop>) -> Result<Exit, Error> {
        let delivery = match result {
            Ok(delivery) => delivery,
            Err(Stop::Failure(failure)) => Delivered { failure: Some(failure), ..Delivered::default() },
            Err(Stop::Order(Order::Cancel)) => {
                return self.finish(FinishOutcome::Cancelled, Delivered::default()).await;
            }
            Err(Stop::Yielded | Stop::Question(_)) => {
                let Assignment { job, attempt, .. } = self.attempt.assignment;
                tracing::info!(job.id = %job, attempt, "attempt returned its job");
                return Ok(Exit::Finished);
            }
            Err(Stop::Order(Order::Shutdown)) => {
                let send = self.send_last(SHUTDOWN_EVENTS_TIMEOUT, SHUTDOWN_ARTIFACTS_TIMEOUT, true);
                tokio::join!(send, self.send_cost());
                return Ok(Exit::Stopped);
            }
            Err(Stop::Order(_)) => return Ok(Exit::LeaseLost),
        };
        let failure = delivery.failure.map(|failure| self.attempt.redactor.redact_failure(failure).clipped());
        let outcome = if failure.is_some() { FinishOutcome::Failed } else { FinishOutcome::Completed };
        self.finish(outcome, Delivered { failure, ..delivery }).await
    }

    async fn finish(
        &self,
        outcome: FinishOutcome,
        Delivered { result, output, failure }: Delivered,
    ) -> Result<Exit, Error> {
        let Assignment { job, attempt, lease, .. } = self.attempt.assignment;
        let (report, spent_usd_micros) = self.attempt.work_report();
        let code = failure.as_ref().map(Failure::code);
        tracing::info!(job.id = %job, attempt, outcome = ?outcome, failure = code, "attempt finished");
        let finish_id = ids::new_finish_id()?;
        let pending = PendingFinish {
            api_url: self.options.api_url.clone(),
            job: job.clone(),
            attempt: *attempt,
            lease: lease.clone(),
            trace: self.options.trace(),
            finish: FinishRequest { finish_id, outcome, failure, result, output, spent_usd_micros, work: report },
        };
        self.flush(outcome).await;
        deliver_finish(self.outbox, pending, self.attempt.orders).await
    }

    /// Sends the last events and artifacts. The control plane accepts none after the finish.
    async fn flush(&self, outcome: FinishOutcome) {
        // Completed work needs no checkpoint.
        let logs_loss = outcome != FinishOutcome::Completed;
        tokio::select! {
            () = self.send_last(LAST_EVENTS_TIMEOUT, LAST_ARTIFACTS_TIMEOUT, logs_loss) => {}
            () = async {
                self.attempt.orders.wait_at_least(Order::Shutdown).await;
                self.send_last(SHUTDOWN_EVENTS_TIMEOUT, SHUTDOWN_EVENTS_TIMEOUT, logs_loss).await
            } => {}
        }
    }

    /// Without it, the attempt counts with its whole limit. In a heartbeat of its own, because an older control plane
    /// refuses the field.
    async fn send_cost(&self) {
        let (_, Some(usd_micros)) = self.attempt.usage.report() else { return };
        let (events, spent_usd_micros) = (Vec::new(), Some(usd_micros));
        let request = EventsRequest { first_seq: 1, events, inputs: None, spent_usd_micros };
        match timeout(SHUTDOWN_EVENTS_TIMEOUT, self.attempt.client.events(&request)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "cost not reported: {error}"),
            Err(_) => tracing::warn!("cost not reported in time"),
        }
    }

    async fn send_last(&self, events_timeout: Duration, artifacts_timeout: Duration, logs_loss: bool) {
        let (events, artifacts) = (self.attempt.events, self.attempt.artifacts);
        let ((), loss) = tokio::join!(events.flush(events_timeout), artifacts.flush(artifacts_timeout));
        loss.filter(|_| logs_loss).into_iter().for_each(|text| events.log(text));
        events.flush(LAST_EVENT_TIMEOUT).await;
    }
}
