//! Jobs whose model is unavailable: they are requeued and wait, for at most a day in all.
//!
//! | status | after a report that the account's limit is used up or the provider fails |
//! |---|---|
//! | Executing | Ready; Paused or Cancelled if a user requested that; Failed if the job has waited enough |
//! | any other | Failed, or Cancelled if a user requested that |
//!
//! [`crate::breaker`] decides until when an account is not used.

use super::transition::{End, Fence, NotNow};
use super::{EndedBy, Job, Place, Session, Status, Want};
use crate::breaker::{Cause, LONGEST, LOOK_EVERY, Trouble};
use crate::failure::Failure;
use crate::id::FinishId;
use crate::project::Resume;
use crate::time::Timestamp;
use crate::wait::Wait;
use serde::{Deserialize, Serialize};

/// Most model troubles that a job survives.
pub const MOST_TROUBLES: u32 = 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelWait {
    pub cause: Cause,
    pub capability: String,
    /// The expected end.
    pub until: Timestamp,
    pub since: Timestamp,
    #[serde(default, skip_serializing_if = "super::is_none_yet")]
    pub times: u32,
}

impl ModelWait {
    pub fn wait(&self, now: Timestamp) -> Option<Wait> {
        (now < self.until).then(|| crate::breaker::wait(self.cause, &self.capability, self.until))
    }
}

/// A runner's report that the model is unavailable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Troubled {
    /// Chosen by the runner, so that a repeat gets the same answer.
    pub finish: FinishId,
    /// The failure, if the job has waited enough.
    pub failure: Failure,
    /// The same as a fact about the account.
    pub trouble: Trouble,
    pub capability: String,
    /// Until when the account is not used.
    pub until: Timestamp,
    /// The agent, and its own id of the session.
    pub session: Option<(String, Option<String>)>,
}

impl Job {
    /// Yields the job because its model is unavailable.
    ///
    /// The job fails after too many troubles, if it would wait for more than a day in all, or if no agent worked. A
    /// requested cancel or pause takes effect.
    pub fn waits_for_model(&self, fence: &Fence, met: &Troubled, now: Timestamp) -> Result<Self, NotNow> {
        let known = self.ended_by.as_ref();
        if known.is_some_and(|by| by.finish.as_ref() == Some(&met.finish) && by.attempt == fence.attempt) {
            return Err(NotNow::Already);
        }
        let runner = self.held_by(fence)?.runner.clone();
        let finish = || Some(met.finish.clone());
        if self.want == Want::Cancel {
            return Ok(self.ended(End::Cancelled, finish(), now));
        }
        let since = self.model.as_ref().map_or(now, |model| model.since);
        let times = self.model.as_ref().map_or(0, |model| model.times) + 1;
        // If the account's limit lasts longer, fail at once with its end, instead of waiting in vain.
        let ends = met.trouble.ends.map_or(met.until, |ends| ends.max(met.until));
        if self.status != Status::Executing || times > MOST_TROUBLES || ends > since.plus(LONGEST) {
            return Ok(self.ended(End::Failed(met.failure.clone(), None), finish(), now));
        }
        let mut job = self.clone();
        job.model = Some(ModelWait {
            cause: met.trouble.cause,
            capability: met.capability.clone(),
            until: met.until,
            since,
            times,
        });
        // With `Resume::Require` a job may continue only from a checkpoint, and a limit may come before the first one.
        if let Some((agent, session)) = met.session.as_ref().filter(|_| self.policy.resume == Resume::Prefer) {
            // It is unknown which inputs the session had read; the next one gets all of them.
            job.session = Some(Session::new(agent, session.as_deref(), runner, self.attempt));
        }
        if self.want == Want::Pause {
            job.pauses_now(now);
        } else {
            job.leaves_its_attempt(now);
            job.status = Status::Ready;
            job.ready_since = now;
            job.dispatch.due = looks_at(met.until, now);
            job.went_on();
        }
        job.ended_by = Some(EndedBy { attempt: self.attempt, finish: finish() });
        Ok(job)
    }

    pub fn waits_long(&self, now: Timestamp) -> bool {
        self.model.as_ref().is_some_and(|model| now < model.until)
    }

    /// Delays a Ready job until its model is available, so that no task starts. `Already`: it is delayed.
    pub fn left_alone(&self, cause: Cause, capability: &str, until: Timestamp, now: Timestamp) -> Result<Self, NotNow> {
        if self.status != Status::Ready || self.place != Place::Fargate || self.dispatch.starting {
            return Err(NotNow::Status(self.status));
        }
        let due = looks_at(until, now);
        let knows = self.model.as_ref().is_some_and(|model| model.cause == cause && model.until == until);
        if knows && self.dispatch.due > now && self.dispatch.due <= due {
            return Err(NotNow::Already);
        }
        let mut job = self.clone();
        let (since, times) = self.model.as_ref().map_or((now, 0), |model| (model.since, model.times));
        job.model = Some(ModelWait { cause, capability: capability.to_owned(), until, since, times });
        job.dispatch.due = due;
        job.went_on();
        Ok(job)
    }
}

fn looks_at(until: Timestamp, now: Timestamp) -> Timestamp {
    until.min(now.plus(LOOK_EVERY))
}

#[cfg(test)]
pub(super) mod tests;
