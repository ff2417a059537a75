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
use super::{Job, NotNow, Place, Status, Want};
use crate::text::clipped;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Time for a runner to stop, before the sweeper ends its job.
pub const STOP_WITHIN: Duration = Duration::from_secs(60);

/// Longest reason. Units: characters.
pub const LONGEST_REASON: usize = 120;

/// Longest stored name. Units: characters.
const LONGEST_NAME: usize = 48;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The event that caused the cancel instead of a user, as part of a sentence: `acme/app#231 was merged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    pub at: Timestamp,
}

impl Cancel {
    pub fn new(by: &str, reason: Option<&str>, at: Timestamp) -> Self {
        let reason = reason.map(|reason| clipped(reason, LONGEST_REASON)).filter(|reason| !reason.is_empty());
        Self { by: clipped(by, LONGEST_NAME), reason, because: None, at }
    }

    /// A cancel without a user: the job has no purpose any more. `because` is part of a sentence.
    pub fn by_itself(because: &str, at: Timestamp) -> Self {
        Self { by: "Pullyard".into(), reason: None, because: Some(clipped(because, LONGEST_REASON)), at }
    }

    /// When the runner should have stopped.
    pub fn until(&self) -> Timestamp {
        self.at.plus(STOP_WITHIN)
    }

    pub fn sentence(&self) -> String {
        if let Some(because) = &self.because {
            return format!("Cancelled because {because}.");
        }
        match &self.reason {
            None => format!("Cancelled by {}.", self.by),
            Some(reason) => {
                // A sentence has 140 characters. The full reason is a field.
                let most = 140usize.saturating_sub("Cancelled by : \"\".".len() + self.by.chars().count());
                format!("Cancelled by {}: \"{}\".", self.by, clipped(reason, most))
            }
        }
    }
}

impl Job {
    /// Cancels the job for a user. Without an attempt it ends at once; otherwise its runner is requested to stop.
    ///
    /// `Already`: it is cancelled, or will be. `Status`: it has ended otherwise.
    pub fn cancelled(&self, cancel: Cancel, now: Timestamp) -> Result<Self, NotNow> {
        match self.status {
            Status::Cancelled => Err(NotNow::Already),
            Status::Completed | Status::Failed => Err(NotNow::Status(self.status)),
            _ if self.want == Want::Cancel => Err(NotNow::Already),
            status => {
                let mut job = self.clone();
                job.want = Want::Cancel;
                job.cancel = Some(cancel);
                job.pause = None;
                Ok(if status.is_active() { job } else { job.ended(End::Cancelled, None, now) })
            }
        }
    }

    /// Ends a job whose runner did not stop in time. Called by the sweeper, not by the runner.
    pub fn called_off(&self, now: Timestamp) -> Result<Self, NotNow> {
        self.may_be_taken_away(now)?;
        match self.stops_by() {
            Some(until) if now < until => Err(NotNow::NotBefore(until)),
            Some(_) => Ok(self.ended(End::Cancelled, None, now)),
            None => Err(NotNow::Status(self.status)),
        }
    }

    /// When its runner should have stopped, if a cancel was requested.
    pub fn stops_by(&self) -> Option<Timestamp> {
        let cancel = self.cancel.as_ref().filter(|_| self.status.is_active() && self.want == Want::Cancel)?;
        Some(cancel.until())
    }

    /// Whether it was cancelled without its runner, and a task may still start or run.
    pub fn may_leave_a_task(&self) -> bool {
        let unheard = self.ended_by.as_ref().is_some_and(|by| by.finish.is_none());
        let asked = self.dispatch.starting || self.last_tasks().next().is_some();
        self.status == Status::Cancelled && self.place == Place::Fargate && unheard && asked
    }

    /// The known tasks of its last start and its last claim.
    pub fn last_tasks(&self) -> impl Iterator<Item = &str> {
        let claimed = self.run.as_ref().and_then(|run| run.task.as_deref());
        claimed.into_iter().chain(self.dispatch.task.as_deref())
    }

    /// `Cancelled` if a user requested a cancel, otherwise `end`. For ends that the runner did not report.
    pub(super) fn unless_cancelled(&self, end: End) -> End {
        if self.want == Want::Cancel { End::Cancelled } else { end }
    }
}

#[cfg(test)]
mod tests;
