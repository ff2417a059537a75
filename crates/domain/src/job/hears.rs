//! Inputs that a running agent has read, and their effect on a push.
//!
//! The count is only for display. The session determines which inputs the next attempt receives again.

use super::transition::{Fence, NotNow};
use super::{Job, Status};
use crate::time::Timestamp;

impl Job {
    /// Records how many inputs the agent has read. `Already`: no change.
    pub fn hears(&self, fence: &Fence, inputs: u32) -> Result<Self, NotNow> {
        self.held_by(fence)?;
        let mut job = self.clone();
        job.hears_up_to(inputs);
        if job.heard == self.heard { Err(NotNow::Already) } else { Ok(job) }
    }

    /// Lets the runner push work that considers this many inputs.
    ///
    /// `NewerInput`: there are more, and the agent must continue. Otherwise like [`Job::progressed`] into Syncing.
    pub fn pushed(&self, fence: &Fence, inputs: u32, now: Timestamp) -> Result<Self, NotNow> {
        let job = self.progressed(fence, Status::Syncing, now)?;
        if inputs < self.inputs { Err(NotNow::NewerInput) } else { Ok(job) }
    }

    /// When the agent will read an input that is sent now; `None` if no agent will.
    pub fn hears_when(&self) -> Option<&'static str> {
        self.status.hears_when(self.adopts.is_some())
    }

    /// Clamped to the number of inputs; never decreases.
    pub(super) fn hears_up_to(&mut self, inputs: u32) {
        self.heard = self.heard.max(inputs.min(self.inputs));
    }
}

impl Status {
    /// When the agent of a job in this status will read an input; `None` if no agent will. A job that only adopts has
    /// no agent.
    pub fn hears_when(self, adopts: bool) -> Option<&'static str> {
        Some(match self {
            Self::Completed | Self::Failed | Self::Cancelled => return None,
            _ if adopts => "No agent works on this job any more; only a new job would read this.",
            Self::Pending | Self::Ready | Self::Claimed | Self::Preparing => "The agent reads this when it starts.",
            Self::Executing => {
                "Claude Code reads this before its next step, Codex by the end of its turn, a command when it asks or \
                 restarts."
            }
            Self::Syncing => "The work is being published; only another attempt would read this.",
            Self::AwaitingInput | Self::Paused => "The agent continues with this.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Rest, Want};
    use crate::story::{active, at, crashed, fence, yielded};

    fn told(inputs: u32) -> Job {
        (0..inputs).fold(active(Status::Executing), |job, _| job.told(at(240)).unwrap())
    }

    #[test]
    fn acknowledged_inputs_are_clamped_and_never_decrease() {
        let job = told(2);
        let fence = fence(&job, 1, "c1");
        let one = job.hears(&fence, 1).unwrap();
        assert_eq!(
            (one.heard, one.hears(&fence, 1), one.hears(&fence, 0)),
            (1, Err(NotNow::Already), Err(NotNow::Already))
        );
        assert_eq!(one.hears(&fence, 9).unwrap().heard, 2);
        assert_eq!((one.status, one.want, one.inputs), (Status::Executing, Want::Run, 2), "nothing else changes");
    }

    #[test]
    fn attempt_without_its_lease_acknowledges_nothing() {
        let job = told(1);
        assert_eq!(job.hears(&fence(&job, 1, "other"), 1), Err(NotNow::LeaseLost));
        let gone = job.yielded(&fence(&job, 1, "c1"), &yielded(Rest::Pauses, 1), at(250)).unwrap();
        assert_eq!((gone.heard, gone.hears(&fence(&job, 1, "c1"), 1)), (1, Err(NotNow::LeaseLost)));
    }

    #[test]
    fn push_is_refused_before_all_inputs_are_read() {
        let job = told(1);
        let fence = fence(&job, 1, "c1");
        assert_eq!(job.pushed(&fence, 0, at(250)), Err(NotNow::NewerInput));
        let pushing = job.pushed(&fence, 1, at(250)).unwrap();
        assert_eq!(pushing, job.progressed(&fence, Status::Syncing, at(250)).unwrap());
        // A later input does not stop the push, and a repeat is recognised.
        let later = pushing.told(at(260)).unwrap();
        assert_eq!((later.status, later.pushed(&fence, 1, at(270))), (Status::Syncing, Err(NotNow::Already)));
    }

    #[test]
    fn cancel_precedes_unread_inputs() {
        let job = Job { want: Want::Cancel, ..told(1) };
        assert_eq!(job.pushed(&fence(&job, 1, "c1"), 0, at(250)), Err(NotNow::Unwanted));
    }

    #[test]
    fn every_unfinished_status_has_a_delivery_hint() {
        for adopts in [false, true] {
            let said = Status::ALL.into_iter().filter(|status| status.hears_when(adopts).is_none());
            assert!(said.eq(Status::ALL.into_iter().filter(|status| status.is_terminal())), "{adopts}");
        }
    }

    #[test]
    fn delivery_hint_of_an_adopting_job_names_no_agent() {
        let adopting = active(Status::Syncing).requeued_to_adopt(crashed(), at(400)).unwrap();
        assert!(adopting.hears_when().unwrap().starts_with("No agent works on this job"));
        let ended = adopting.given_up(crashed(), at(500)).unwrap();
        assert_eq!(ended.hears_when(), None);
        let working = active(Status::Executing);
        assert_eq!(working.hears_when(), Status::Executing.hears_when(false));
        assert!(working.hears_when().unwrap().starts_with("Claude Code reads this before its next step"));
    }
}
