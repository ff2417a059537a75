//! Writes the sentences about a runner's state, and about its jobs when it loses them.

use crate::labels::format_count;
use crate::prelude::*;
use pullyard_protocol::runner::{OrderKind, OrderState};
use pullyard_protocol::runner_admin::{Runner, RunnerStatus, RunnerTask};

/// Explains a runner that takes no jobs, and what happens to the jobs that it holds.
pub(super) fn describe(runner: &Runner, now: Timestamp) -> Option<SafeText> {
    let last = labels::format_time(runner.last_heartbeat, now).text;
    let rest = match runner.busy {
        0 => "it is idle".to_owned(),
        n => format!("it finishes {}", format_count(n, "job")),
    };
    let sentence = match (runner.status, &runner.drain) {
        (RunnerStatus::Online, _) => return None,
        (RunnerStatus::NeverHeard, _) => "It registered, but sent no heartbeat.".to_owned(),
        (RunnerStatus::Draining, None) if runner.order.as_ref().is_some_and(is_open_update) => {
            format!("Its update waits for its jobs: {rest} and takes no new jobs.")
        }
        (RunnerStatus::Draining, None) => format!("The runner is stopping: {rest} and takes no new jobs."),
        (RunnerStatus::Draining, Some(drain)) if drain.acknowledged.is_none() => {
            format!("{} requested a drain; the runner has not confirmed it.", drain.by)
        }
        (RunnerStatus::Draining, Some(drain)) => format!("Drained by {}: {rest} and takes no new jobs.", drain.by),
        (RunnerStatus::Deleting, _) => "Its jobs are taken away first.".to_owned(),
        (RunnerStatus::Offline, _) if runner.busy == 0 => {
            format!("Last heartbeat {last}. It holds no job; each job that it lost names this runner as the reason.")
        }
        (RunnerStatus::Offline, _) => {
            format!("Last heartbeat {last}. {}", describe_loss(runner.busy))
        }
    };
    Some(line(&sentence))
}

fn is_open_update(order: &RunnerTask) -> bool {
    (order.kind, order.state) == (OrderKind::Update, OrderState::Accepted)
}

/// The effect of losing the runner on its jobs.
pub(super) fn describe_loss(jobs: u32) -> String {
    match jobs {
        0 => "It is running no job.".to_owned(),
        1 => "Its job is requeued or fails, by its project's setting.".to_owned(),
        n => format!("Its {n} jobs are requeued or fail, by their project's setting."),
    }
}

/// When an update replaces the program of a runner with this number of jobs.
pub(super) fn describe_update(jobs: u32) -> String {
    match jobs {
        0 => "It runs no job, so it updates now.".to_owned(),
        1 => "It verifies the release, then claims no more jobs, and updates when its job has ended.".to_owned(),
        n => {
            format!("It verifies the release, then claims no more jobs, and updates when its {n} jobs have ended.")
        }
    }
}
