//! Sends hints after a write, within a time limit, so that a slow queue does not delay the answer.
//! Most callers ignore whether a hint was sent, because the sweeper finds the pending work in the table.

use crate::counters::Counter;
use crate::{Context, Error};
use pullyard_domain::agent::runner::Runner;
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::run::notice::Notice;
use pullyard_domain::run::wakeup::{JobWakeup, LookWakeup, NoticeWakeup, PullRequestWakeup, RunWakeup, TicketWakeup};
use pullyard_domain::text::id::{IntegrationId, JobId, ProjectId, RunId, TicketKey};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::look::TicketLook;
use pullyard_store::Write;
use std::time::Duration;

/// Time limit for all hints of one call. The sweeper repeats the rest; some callers must answer within ten seconds.
const HINTS_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for one hint, so that the next ones have time left.
const HINT_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HintOutcome {
    Sent,
    Lost,
}

impl Context {
    pub(crate) async fn send_hints<T>(&self, hints: impl Future<Output = T>) {
        if self.clock.with_timeout(HINTS_TIMEOUT, Box::pin(hints)).await.is_none() {
            self.counters().add(Counter::WakeupLost);
            tracing::warn!("some hints not sent in time; the sweeper will send them");
        }
    }

    /// Sends a hint to start a job's task or to wake runners, or to stop the tasks of a cancelled job.
    pub(crate) async fn wake_job(&self, job: &JobId) {
        let wakeup = JobWakeup { job: job.clone() };
        if let Err(error) = self.send_hint(self.wakeups.wake_job(&wakeup)).await {
            tracing::warn!(job.id = %job, error = %error, "job wake-up not sent; the sweeper will start the job");
        }
    }

    pub(crate) async fn wake_ticket(&self, project: &ProjectId, ticket: &TicketKey) -> HintOutcome {
        let wakeup = TicketWakeup { project: project.clone(), ticket: ticket.clone() };
        let Err(error) = self.send_hint(self.wakeups.wake_ticket(&wakeup)).await else { return HintOutcome::Sent };
        tracing::warn!(
            project = %project, ticket = %ticket, error = %error,
            "ticket wake-up not sent; the sweeper will settle the ticket"
        );
        HintOutcome::Lost
    }

    /// Queues a look unless one waits, or has covered this delivery. `delivery`: the time that the tool wrote into it.
    /// Writes: LOOK, before the message, so that the reader of the message finds it.
    /// Errors: a lost hint, because nothing in the table shows that the ticket changed.
    pub(crate) async fn wake_look(
        &self,
        project: &ProjectId,
        connection: &IntegrationId,
        ticket: &TicketKey,
        delivery: Option<Timestamp>,
    ) -> Result<(), Error> {
        let mut rounds = self.retries(ticket);
        let requested = loop {
            let now = self.clock.now();
            let stored = self.store.load_ticket_look(project, ticket).await?;
            let look = stored.unwrap_or_else(|| TicketLook::new(project.clone(), ticket.clone(), now));
            let Some(requested) = look.request(delivery, now) else { return Ok(()) };
            if self.store.put_ticket_look(&requested).await? == Write::Applied {
                break TicketLook { rev: requested.rev + 1, ..requested };
            }
            rounds.backoff().await?;
        };
        let wakeup = LookWakeup { look: project.clone(), ticket: ticket.clone() };
        let sent = self.send_hint(self.wakeups.look_at_ticket(connection, &wakeup)).await;
        if sent.is_err() {
            // The tool repeats the delivery. If this write fails too, the repeat is queued after `TicketLook`'s limit.
            self.store.put_ticket_look(&requested.withdraw()).await.ok();
        }
        sent
    }

    pub(crate) async fn wake_review_freeze(&self, job: &JobId) {
        let wakeup = JobWakeup { job: job.clone() };
        if let Err(error) = self.send_hint(self.wakeups.admit_job(&wakeup)).await {
            tracing::warn!(job.id = %job, error = %error, "job admission not sent; the sweeper will send it");
        }
    }

    pub(crate) async fn wake_pull_request(&self, id: &PullRequestId) {
        let wakeup = PullRequestWakeup { pull_request: id.clone() };
        if let Err(error) = self.send_hint(self.wakeups.wake_pull_request(&wakeup)).await {
            tracing::warn!(pull_request = %id, error = %error, "pull request wake-up not sent; the sweeper will send it");
        }
    }

    pub(crate) async fn wake_run(&self, run: &RunId) -> HintOutcome {
        let wakeup = RunWakeup { advance: run.clone() };
        let Err(error) = self.send_hint(self.wakeups.wake_run(&wakeup)).await else { return HintOutcome::Sent };
        tracing::warn!(run = %run, error = %error, "run wake-up not sent; the sweeper will send it");
        HintOutcome::Lost
    }

    /// Sends a hint for each endpoint to which the notice is due.
    pub(crate) async fn wake_notice(&self, notice: &Notice) {
        let now = self.clock.now();
        for (endpoint, _) in notice.waiting.iter().filter(|(_, due)| **due <= now) {
            let wakeup = NoticeWakeup { notice: notice.id.clone(), endpoint: endpoint.clone() };
            if let Err(error) = self.send_hint(self.wakeups.wake_notice(&notice.data.project, &wakeup)).await {
                tracing::warn!(notice = %notice.id, error = %error, "notice wake-up not sent; the sweeper will send it");
            }
        }
    }

    /// Without its mailbox, the runner polls, and registers again after a minute.
    pub(crate) async fn create_mailbox(&self, runner: &Runner) {
        let Some(mailbox) = &runner.mailbox else { return };
        if let Err(error) = self.send_hint(self.wakeups.create_mailbox(mailbox)).await {
            tracing::warn!(runner = %runner.id, error = %error, "mailbox not created; the runner polls");
        }
    }

    pub(crate) async fn wake_runner(&self, runner: &Runner, job: &JobId) {
        let Some(mailbox) = &runner.mailbox else { return };
        if let Err(error) = self.send_hint(self.wakeups.wake_runner(mailbox, job)).await {
            tracing::warn!(job.id = %job, runner = %runner.id, error = %error, "runner not woken; the sweeper will repeat it");
        }
    }

    /// Counts a lost hint. The caller logs it with its subject.
    async fn send_hint(&self, request: impl Future<Output = Result<(), pullyard_cloud::Error>>) -> Result<(), Error> {
        let result = match self.clock.with_timeout(HINT_TIMEOUT, request).await {
            Some(result) => result.map_err(Error::from),
            None => Err(Error::Timeout { step: "send a message", within: HINT_TIMEOUT }),
        };
        result.inspect_err(|_| self.counters().add(Counter::WakeupLost))
    }
}
