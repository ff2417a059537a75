//! Cancelling a job, depending on its status.
//!
//! | status | effect of a cancel |
//! |---|---|
//! | Pending, Ready, AwaitingInput, Paused | ends at once, because no attempt holds the job |
//! | Claimed … Executing | the runner is requested to stop; after a time limit the sweeper ends the job |
//! | Syncing | the same, but a successful push wins, and only the runner ends the job before `push_until` |
//! | Cancelled | a repeat |
//! | Completed, Failed | rejected as too late |
//!
//! The request is stored as a level until the job has ended, and each answer to the runner contains it. Any
//! caller but the runner that ends the job cancels it.

use super::transition::End;
use super::{ActiveAttempt, DesiredState, Job, JobStatus, Placement, TransitionRefusal};
use crate::text::time::Timestamp;
use crate::text::truncate;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Time for a runner to stop, before the sweeper ends its job.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// Time after the end of a job in which its orphaned tasks are stopped. A stop that ECS refuses for good has to end.
pub const MAX_STOP_TIME: Duration = Duration::from_secs(24 * 3_600);

pub const MAX_REASON_CHARS: usize = 120;

const MAX_NAME_CHARS: usize = 48;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    pub by: String,
    pub reason: Option<String>,
    /// The event that caused the cancel instead of a user, as part of a sentence: `acme/app#231 was merged`.
    pub because: Option<String>,
    pub at: Timestamp,
}

impl Cancel {
    pub fn new(by: &str, reason: Option<&str>, at: Timestamp) -> Self {
        let reason = reason.map(|reason| truncate(reason, MAX_REASON_CHARS)).filter(|reason| !reason.is_empty());
        Self { by: truncate(by, MAX_NAME_CHARS), reason, because: None, at }
    }

    /// A cancel without a user: the job has no purpose any more. `because` is part of a sentence.
    pub fn automatic(because: &str, at: Timestamp) -> Self {
        Self { by: "Pullyard".into(), reason: None, because: Some(truncate(because, MAX_REASON_CHARS)), at }
    }

    pub fn stop_deadline(&self) -> Timestamp {
        self.at.plus(STOP_TIMEOUT)
    }

    pub fn sentence(&self) -> String {
        if let Some(because) = &self.because {
            return format!("Cancelled because {because}.");
        }
        match &self.reason {
            None => format!("Cancelled by {}.", self.by),
            Some(reason) => {
                // A commit status has 140 characters. The full reason is a field.
                let limit = 140usize.saturating_sub("Cancelled by : \"\".".len() + self.by.chars().count());
                format!("Cancelled by {}: \"{}\".", self.by, truncate(reason, limit))
            }
        }
    }
}

impl Job {
    /// Cancels the job for a user. Without an attempt it ends at once; otherwise its runner is requested to stop.
    ///
    /// `AlreadyDone`: it is cancelled, or will be. `WrongStatus`: it has ended otherwise.
    pub fn cancel(&self, cancel: Cancel, now: Timestamp) -> Result<Self, TransitionRefusal> {
        match self.status {
            JobStatus::Cancelled => Err(TransitionRefusal::AlreadyDone),
            JobStatus::Completed | JobStatus::Failed => Err(TransitionRefusal::WrongStatus(self.status)),
            _ if self.want == DesiredState::Cancel => Err(TransitionRefusal::AlreadyDone),
            status => {
                let mut job = self.clone();
                job.want = DesiredState::Cancel;
                job.cancel = Some(cancel);
                job.pause = None;
                Ok(if status.is_active() { job } else { job.end(End::Cancelled, None, now) })
            }
        }
    }

    /// Ends a job whose runner did not stop in time. Called by the sweeper, not by the runner.
    pub fn enforce_cancel(&self, now: Timestamp) -> Result<Self, TransitionRefusal> {
        self.check_not_pushing(now)?;
        match self.stop_deadline() {
            Some(until) if now < until => Err(TransitionRefusal::NotBefore(until)),
            Some(_) => Ok(self.end(End::Cancelled, None, now)),
            None => Err(TransitionRefusal::WrongStatus(self.status)),
        }
    }

    pub fn stop_deadline(&self) -> Option<Timestamp> {
        let cancel = self.cancel.as_ref().filter(|_| self.status.is_active() && self.want == DesiredState::Cancel)?;
        Some(cancel.stop_deadline())
    }

    /// Whether a task must be stopped, because its attempt was lost or its job ended without the runner.
    pub fn may_have_orphaned_task(&self) -> bool {
        let is_unreported = self.ended_by.as_ref().is_some_and(|by| by.finish.is_none());
        let was_started = self.dispatch.starting || self.last_tasks().next().is_some();
        let has_ended = self.status.is_terminal() && self.place == Placement::Fargate && is_unreported;
        self.dispatch.orphan.is_some() || has_ended && was_started
    }

    pub(crate) fn orphan_stop_due(&self) -> Option<Timestamp> {
        self.may_have_orphaned_task().then(|| self.ended_at.unwrap_or(self.dispatch.due))
    }

    /// Whether a further failure to stop the orphaned tasks is the last one.
    pub fn may_abandon_orphans(&self, now: Timestamp) -> bool {
        self.ended_at.is_some_and(|ended| now.since(ended) >= MAX_STOP_TIME)
    }

    /// Records that its orphaned tasks were stopped or abandoned. Until then the job stays due, and in its place.
    pub fn record_stopped_orphans(&self) -> Result<Self, TransitionRefusal> {
        if !self.may_have_orphaned_task() {
            return Err(TransitionRefusal::AlreadyDone);
        }
        let mut job = self.clone();
        job.dispatch.orphan = None;
        if job.status.is_terminal() {
            (job.dispatch.starting, job.dispatch.task) = (false, None);
            job.run = job.run.map(|run| ActiveAttempt { task: None, ..run });
        }
        job.reset_sweep_backoff();
        Ok(job)
    }

    /// The task of the attempt, unless it has stopped.
    pub(super) fn running_task(&self) -> Option<&str> {
        self.run.as_ref().filter(|run| run.died.is_none())?.task.as_deref()
    }

    pub fn last_tasks(&self) -> impl Iterator<Item = &str> {
        let claimed = self.run.as_ref().and_then(|run| run.task.as_deref());
        claimed.into_iter().chain(self.dispatch.task.as_deref()).chain(self.dispatch.orphan.as_deref())
    }

    /// `Cancelled` if a user requested a cancel, otherwise `end`. For ends that the runner did not report.
    pub(super) fn cancel_or(&self, end: End) -> End {
        if self.want == DesiredState::Cancel { End::Cancelled } else { end }
    }
}

#[cfg(test)]
mod tests;
