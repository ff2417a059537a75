//! Handles the stop of a Fargate task: derives the failure or the start fault of its job.

use crate::job::{DispatchFault, Job, JobStatus, TransitionRefusal};
use crate::text::failure::Failure;
use crate::text::id::JobId;
use crate::text::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStop {
    pub arn: String,
    pub job: JobId,
    pub cause: StopCause,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    SpotInterruption,
    Exited {
        /// `None` if ECS does not report it.
        code: Option<i64>,
    },
    /// AWS or a user stopped it, or it never started.
    Other,
}

impl TaskStop {
    fn failure(&self) -> Failure {
        let exit = match self.cause {
            StopCause::SpotInterruption => return Failure::SpotInterrupted {},
            StopCause::Other => return Failure::TaskStopped { reason: self.reason.clone() },
            StopCause::Exited { code: None } => "an unknown exit code".into(),
            StopCause::Exited { code: Some(code) } if code > 128 => format!("signal {}", code - 128),
            StopCause::Exited { code: Some(code) } => format!("exit code {code}"),
        };
        Failure::RunnerCrashed { exit }
    }
}

impl Job {
    pub fn is_awaiting_claim(&self, task: &str) -> bool {
        self.status == JobStatus::Ready && self.dispatch.task.as_deref() == Some(task)
    }

    /// Records the stop of a task: it is started again later, or its finish is awaited a short time if it had claimed.
    /// Errors: `AlreadyDone` if the stop is recorded; `LeaseLost` if the job has another task now.
    pub fn record_task_stop(&self, stopped: &TaskStop, now: Timestamp) -> Result<Self, TransitionRefusal> {
        if !self.is_awaiting_claim(&stopped.arn) {
            return self.record_container_stop(&stopped.arn, stopped.failure(), now);
        }
        let fault = match stopped.failure() {
            Failure::SpotInterrupted {} => DispatchFault::Interrupted,
            other => DispatchFault::Died { reason: other.sentence() },
        };
        self.record_start_fault(self.attempt + 1, self.dispatch.number, fault, now)
    }
}

/// Why no function handled the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnhandledCause {
    Failed,
    /// The event expired before the function could run.
    Expired,
    /// EventBridge could not deliver it to the function.
    Undeliverable,
}

impl UnhandledCause {
    /// Part of a sentence about the function.
    pub fn description(self) -> &'static str {
        match self {
            Self::Failed => "failed three times",
            Self::Expired => "could not run in time",
            Self::Undeliverable => "was not reached",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{active, job_id, ready_job, time_at};

    const TASK: &str = "arn:aws:ecs:us-east-1:000000000000:task/pullyard/1a";

    fn stop_event(cause: StopCause) -> TaskStop {
        TaskStop { arn: TASK.into(), job: job_id("j"), cause, reason: "the task is retired".into() }
    }

    #[test]
    fn stopped_task_is_restarted_only_if_unclaimed() {
        let stopped = stop_event(StopCause::Exited { code: Some(137) });
        let started = ready_job().begin_dispatch(time_at(1)).unwrap().set_task(1, 1, TASK).unwrap();
        assert!(started.is_awaiting_claim(TASK) && !started.is_awaiting_claim("another"));
        let again = started.record_task_stop(&stopped, time_at(2)).unwrap();
        assert!(!again.dispatch.starting && again.dispatch.fault.is_some() && again.attempt == started.attempt);
        let mut working = active(JobStatus::Executing);
        working.run.as_mut().unwrap().task = Some(TASK.into());
        let died = working.record_task_stop(&stopped, time_at(400)).unwrap();
        assert_eq!(died.status, JobStatus::Executing);
        assert_eq!(died.run.as_ref().and_then(|run| run.died.as_ref()).map(|died| died.at), Some(time_at(400)));
        assert_eq!(died.record_task_stop(&stopped, time_at(401)).unwrap_err(), TransitionRefusal::AlreadyDone);
        assert_eq!(ready_job().record_task_stop(&stopped, time_at(2)).unwrap_err(), TransitionRefusal::LeaseLost);
    }

    #[test]
    fn failure_names_the_exit_code_the_signal_or_the_reason() {
        let crashed = |exit: &str| Failure::RunnerCrashed { exit: exit.into() };
        for (cause, expected) in [
            (StopCause::Exited { code: Some(1) }, crashed("exit code 1")),
            (StopCause::Exited { code: Some(128) }, crashed("exit code 128")),
            (StopCause::Exited { code: Some(129) }, crashed("signal 1")),
            (StopCause::Exited { code: Some(137) }, crashed("signal 9")),
            (StopCause::Exited { code: None }, crashed("an unknown exit code")),
            (StopCause::Other, Failure::TaskStopped { reason: "the task is retired".into() }),
            (StopCause::SpotInterruption, Failure::SpotInterrupted {}),
        ] {
            assert_eq!(stop_event(cause).failure(), expected);
        }
    }

    #[test]
    fn spot_interruption_is_distinguished_from_an_exit() {
        let started = ready_job().begin_dispatch(time_at(1)).unwrap().set_task(1, 1, TASK).unwrap();
        let fault =
            |cause| started.record_task_stop(&stop_event(cause), time_at(2)).unwrap().dispatch.fault.unwrap().last;
        assert_eq!(fault(StopCause::SpotInterruption), DispatchFault::Interrupted);
        let reason = "The runner failed with signal 9.".into();
        assert_eq!(fault(StopCause::Exited { code: Some(137) }), DispatchFault::Died { reason });
    }
}
