//! Jobs whose model is unavailable: they are requeued and wait, for at most a day in all.
//!
//! | status | after a report that the account's limit is used up or the provider fails |
//! |---|---|
//! | Executing | Ready; Paused or Cancelled if a user requested that; Failed if the job has waited enough |
//! | any other | Failed, or Cancelled if a user requested that |
//!
//! [`crate::agent::breaker`] decides until when an account is not used.

use super::transition::{End, Fence, TransitionRefusal};
use super::{DesiredState, Job, JobStatus, LastReport, Placement, Session};
use crate::agent::breaker::{AccountFault, BreakerCause, CHECK_INTERVAL, MAX_WAIT};
use crate::project::Resume;
use crate::text::failure::Failure;
use crate::text::id::FinishId;
use crate::text::time::Timestamp;
use crate::text::wait::Wait;
use serde::{Deserialize, Serialize};

/// Most model faults that a job survives.
pub const MAX_MODEL_FAULTS: u32 = 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelWait {
    pub cause: BreakerCause,
    pub capability: String,
    pub until: Timestamp,
    pub since: Timestamp,
    #[serde(default, skip_serializing_if = "crate::text::stored::is_default")]
    pub times: u32,
}

impl ModelWait {
    pub fn wait_reason(&self, now: Timestamp) -> Option<Wait> {
        (now < self.until).then(|| crate::agent::breaker::wait_reason(self.cause, &self.capability, self.until))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFaultReport {
    /// Chosen by the runner, so that a repeat gets the same answer.
    pub finish: FinishId,
    pub failure: Failure,
    /// The same as a fact about the account.
    pub fault: AccountFault,
    pub capability: String,
    pub blocked_until: Timestamp,
    pub session: Option<(String, Option<String>)>,
}

impl Job {
    /// Yields the job because its model is unavailable. The job fails after too many faults, if it would wait for
    /// more than a day in all, or if no agent worked. A requested cancel or pause takes effect.
    pub fn requeue_for_model(
        &self,
        fence: &Fence,
        report: &ModelFaultReport,
        now: Timestamp,
    ) -> Result<Self, TransitionRefusal> {
        self.check_new_report(fence, &report.finish)?;
        let runner = self.check_fence(fence)?.runner.clone();
        let finish = || Some(report.finish.clone());
        if self.want == DesiredState::Cancel {
            return Ok(self.end(End::Cancelled, finish(), now));
        }
        let since = self.model.as_ref().map_or(now, |model| model.since);
        let times = self.model.as_ref().map_or(0, |model| model.times) + 1;
        // If the account's limit lasts longer, fail at once with its end, instead of waiting in vain.
        let ends = report.fault.ends_at.map_or(report.blocked_until, |ends| ends.max(report.blocked_until));
        if self.status != JobStatus::Executing || times > MAX_MODEL_FAULTS || ends > since.plus(MAX_WAIT) {
            return Ok(self.end(End::Failed(report.failure.clone(), None), finish(), now));
        }
        let mut job = self.clone();
        job.model = Some(ModelWait {
            cause: report.fault.cause,
            capability: report.capability.clone(),
            until: report.blocked_until,
            since,
            times,
        });
        // With `Resume::Require` a job may continue only from a checkpoint, and a limit may come before the first one.
        if let Some((agent, session)) = report.session.as_ref().filter(|_| self.policy.resume == Resume::Prefer) {
            // The inputs that the session has read are unknown, so the next session gets all inputs.
            job.session = Some(Session::new(agent, session.as_deref(), runner, self.attempt));
        }
        if self.want == DesiredState::Pause {
            job.enter_paused(now);
        } else {
            job.clear_attempt(now);
            job.status = JobStatus::Ready;
            job.ready_since = now;
            job.dispatch.due = next_check(report.blocked_until, now);
            job.reset_sweep_backoff();
        }
        job.ended_by = Some(LastReport { attempt: self.attempt, finish: finish() });
        Ok(job)
    }

    pub fn is_waiting_for_model(&self, now: Timestamp) -> bool {
        self.model.as_ref().is_some_and(|model| now < model.until)
    }

    /// Since when the Ready job could start. A wait for its model's account does not count, for at most a day.
    /// `blocked_until`: by a breaker.
    pub fn startable_since(&self, blocked_until: Option<Timestamp>) -> Timestamp {
        let until = self.model.iter().map(|model| model.until).chain(blocked_until).max();
        let until = until.map_or(self.ready_since, |until| until.min(self.ready_since.plus(MAX_WAIT)));
        self.ready_since.max(until)
    }

    /// Delays a Ready job until its model is available, so that no task starts. `AlreadyDone`: it is delayed.
    pub fn delay_for_model(
        &self,
        cause: BreakerCause,
        capability: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Self, TransitionRefusal> {
        if self.status != JobStatus::Ready || self.place != Placement::Fargate || self.dispatch.starting {
            return Err(TransitionRefusal::WrongStatus(self.status));
        }
        let due = next_check(until, now);
        let is_recorded = self.model.as_ref().is_some_and(|model| model.cause == cause && model.until == until);
        if is_recorded && self.dispatch.due > now && self.dispatch.due <= due {
            return Err(TransitionRefusal::AlreadyDone);
        }
        let mut job = self.clone();
        let (since, times) = self.model.as_ref().map_or((now, 0), |model| (model.since, model.times));
        job.model = Some(ModelWait { cause, capability: capability.to_owned(), until, since, times });
        job.dispatch.due = due;
        job.reset_sweep_backoff();
        Ok(job)
    }
}

fn next_check(until: Timestamp, now: Timestamp) -> Timestamp {
    until.min(now.plus(CHECK_INTERVAL))
}

#[cfg(test)]
pub(super) mod tests;
