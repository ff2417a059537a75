//! Inputs that a running agent has read, and their effect on a push.
//! The count is only for display. The session determines which inputs the next attempt receives again.

use super::transition::{Fence, TransitionRefusal};
use super::{Job, JobStatus};
use crate::text::time::Timestamp;

impl Job {
    /// Records how many inputs the agent has read. `AlreadyDone`: no change.
    pub fn acknowledge_inputs(&self, fence: &Fence, inputs: u32) -> Result<Self, TransitionRefusal> {
        self.check_fence(fence)?;
        let mut job = self.clone();
        job.raise_acked_inputs(inputs);
        if job.read_inputs == self.read_inputs { Err(TransitionRefusal::AlreadyDone) } else { Ok(job) }
    }

    /// Lets the runner push work that considers this many inputs.
    ///
    /// `NewerInput`: there are more, and the agent must continue. Otherwise like [`Job::advance`] into Syncing.
    pub fn begin_push(&self, fence: &Fence, inputs: u32, now: Timestamp) -> Result<Self, TransitionRefusal> {
        let job = self.advance(fence, JobStatus::Syncing, now)?;
        if inputs < self.inputs { Err(TransitionRefusal::NewerInput) } else { Ok(job) }
    }

    /// Clamped to the number of inputs; never decreases.
    pub(super) fn raise_acked_inputs(&mut self, inputs: u32) {
        self.read_inputs = self.read_inputs.max(inputs.min(self.inputs));
    }
}

impl JobStatus {
    /// When the agent of a job in this status will read an input that is sent now; `None` if the job has ended.
    pub fn delivery_hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Completed | Self::Failed | Self::Cancelled => return None,
            Self::Pending | Self::Ready | Self::Claimed | Self::Preparing => "The agent reads this when it starts.",
            Self::Executing => "The agent reads this at its next step or its next start.",
            Self::Syncing => "The work is being published; only another attempt would read this.",
            Self::AwaitingInput | Self::Paused => "The agent continues with this.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{active, fence, suspend_report, time_at};
    use crate::job::{DesiredState, Suspension};

    fn job_with_inputs(inputs: u32) -> Job {
        (0..inputs).fold(active(JobStatus::Executing), |job, _| job.resume_with_input(time_at(240)).unwrap())
    }

    #[test]
    fn acknowledged_inputs_are_clamped_and_never_decrease() {
        let job = job_with_inputs(2);
        let fence = fence(&job, 1, "c1");
        let one = job.acknowledge_inputs(&fence, 1).unwrap();
        assert_eq!(
            (one.read_inputs, one.acknowledge_inputs(&fence, 1), one.acknowledge_inputs(&fence, 0)),
            (1, Err(TransitionRefusal::AlreadyDone), Err(TransitionRefusal::AlreadyDone))
        );
        assert_eq!(one.acknowledge_inputs(&fence, 9).unwrap().read_inputs, 2);
        assert_eq!(
            (one.status, one.want, one.inputs),
            (JobStatus::Executing, DesiredState::Run, 2),
            "nothing else changes"
        );
    }

    #[test]
    fn attempt_without_its_lease_acknowledges_nothing() {
        let job = job_with_inputs(1);
        assert_eq!(job.acknowledge_inputs(&fence(&job, 1, "other"), 1), Err(TransitionRefusal::LeaseLost));
        let suspended =
            job.suspend(&fence(&job, 1, "c1"), &suspend_report(Suspension::Pause, 1), time_at(250)).unwrap();
        assert_eq!(
            (suspended.read_inputs, suspended.acknowledge_inputs(&fence(&job, 1, "c1"), 1)),
            (1, Err(TransitionRefusal::LeaseLost))
        );
    }

    #[test]
    fn push_is_refused_before_all_inputs_are_read() {
        let job = job_with_inputs(1);
        let fence = fence(&job, 1, "c1");
        assert_eq!(job.begin_push(&fence, 0, time_at(250)), Err(TransitionRefusal::NewerInput));
        let pushing = job.begin_push(&fence, 1, time_at(250)).unwrap();
        assert_eq!(pushing, job.advance(&fence, JobStatus::Syncing, time_at(250)).unwrap());
        // A later input does not stop the push, and a repeat is recognised.
        let later = pushing.resume_with_input(time_at(260)).unwrap();
        assert_eq!(
            (later.status, later.begin_push(&fence, 1, time_at(270))),
            (JobStatus::Syncing, Err(TransitionRefusal::AlreadyDone))
        );
    }

    #[test]
    fn cancel_precedes_unread_inputs() {
        let job = Job { want: DesiredState::Cancel, ..job_with_inputs(1) };
        assert_eq!(job.begin_push(&fence(&job, 1, "c1"), 0, time_at(250)), Err(TransitionRefusal::StopRequested));
    }

    #[test]
    fn every_unfinished_status_has_a_delivery_hint() {
        let statuses = JobStatus::ALL.into_iter().filter(|status| status.delivery_hint().is_none());
        assert!(statuses.eq(JobStatus::ALL.into_iter().filter(|status| status.is_terminal())));
    }
}
