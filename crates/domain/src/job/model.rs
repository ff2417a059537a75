//! A job whose agent's model answers nobody for now: it goes back and waits, for a day at most in all.
//!
//! | status | its runner says that the model's account is used up, or its provider keeps failing |
//! |---|---|
//! | Executing | Ready; Paused or Cancelled where people want that; Failed when it has waited enough |
//! | any other | as any failure |
//!
//! Until when an account is left alone is [`crate::breaker`]'s; which attempts may be made is here.

use super::transition::{End, Fence, NotNow};
use super::{EndedBy, Job, Place, Session, Status, Want};
use crate::breaker::{Cause, LONGEST, LOOK_EVERY, Trouble};
use crate::failure::Failure;
use crate::id::FinishId;
use crate::project::Resume;
use crate::time::Timestamp;
use crate::wait::Wait;
use serde::{Deserialize, Serialize};

/// How often one job may meet such a trouble before it fails by it.
pub const MOST_TROUBLES: u32 = 20;

/// That a job waits, or has waited, for its agent's model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelWait {
    pub cause: Cause,
    pub capability: String,
    /// Until when, as far as was known.
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

/// An attempt whose agent's model does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Troubled {
    /// Chosen by the runner, so that a repeat gets the same answer.
    pub finish: FinishId,
    /// What its runner calls it, and what the job fails by when it has waited enough.
    pub failure: Failure,
    /// The same, as what it says of the account.
    pub trouble: Trouble,
    pub capability: String,
    /// Until when the account is left alone.
    pub until: Timestamp,
    /// Which agent worked, and its own id of its session.
    pub session: Option<(String, Option<String>)>,
}

impl Job {
    /// The runner of the fence gives its job back, because the agent's model answers nobody for now.
    ///
    /// One that met that too often, or would wait for more than a day in all, fails by it; so does one whose agent
    /// was not at work. One that its people want to end or to pause does that.
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
        // What is longer than may be waited is told at once, and with it when to come back.
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
        // Whoever wants the same session or none is bound to the one that was kept, and by its checkpoint alone: a
        // limit may be met before there is any.
        if let Some((agent, session)) = met.session.as_ref().filter(|_| self.policy.resume == Resume::Prefer) {
            // What it had read of what people said is not known any more; the next one is told all of it.
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

    /// Its model answers nobody for now, and nobody but time or a breaker says when.
    pub fn waits_long(&self, now: Timestamp) -> bool {
        self.model.as_ref().is_some_and(|model| now < model.until)
    }

    /// Its model answers nobody for now, so that no task is started for it. `Already`: it knows, and looks again.
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

/// When a job that waits until then is looked at.
fn looks_at(until: Timestamp, now: Timestamp) -> Timestamp {
    until.min(now.plus(LOOK_EVERY))
}

#[cfg(test)]
pub(super) mod tests;
