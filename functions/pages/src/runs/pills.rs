//! The states of runs and steps as word, shape and colour.

use crate::labels::{Pill, RING, TICK, pill};
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::run::{Run, RunState, RunStep, RunWant, StepState};

pub(crate) fn run_pill(run: &Run) -> Pill {
    match run.state {
        RunState::Running if run.want == RunWant::Cancel => Pill { word: "Ending", ..pill(JobStatus::Executing) },
        RunState::Running if run.asked_steps().next().is_some() => pill(JobStatus::AwaitingInput),
        RunState::Running => Pill { word: "Running", ..pill(JobStatus::Executing) },
        RunState::Completed => pill(JobStatus::Completed),
        RunState::Failed => pill(JobStatus::Failed),
        RunState::Cancelled => pill(JobStatus::Cancelled),
    }
}

/// `job`: the newest job of an open step.
pub(super) fn step_pill(step: &RunStep, job: Option<&Job>) -> Pill {
    match (step.state, job) {
        (StepState::Open, Some(job)) => crate::labels::job_pill(job),
        (StepState::Open, None) => Pill { word: "Open", ..pill(JobStatus::Executing) },
        (StepState::Waiting, _) => Pill { word: "Waiting", shape: "dotted", path: RING, tone: "wait" },
        (StepState::Spawning, _) => Pill { word: "Waiting", ..pill(JobStatus::Preparing) },
        (StepState::Asked, _) => pill(JobStatus::AwaitingInput),
        (StepState::Done, _) => Pill { word: "Done", shape: "tick", path: TICK, tone: "ok" },
        (StepState::Failed, _) => pill(JobStatus::Failed),
        (StepState::Cancelled, _) => pill(JobStatus::Cancelled),
        (StepState::Skipped, _) => Pill { word: "Skipped", shape: "dash", path: crate::labels::DASH, tone: "wait" },
    }
}
