//! Sentences about a runner's state, and about its jobs when it loses them.

use crate::labels::format_count;
use crate::prelude::*;
use pullyard_control::runner::{self as control, LossForecast};
use pullyard_domain::fleet::Member;
use pullyard_domain::runner::sweep::LossReason;
use pullyard_protocol::runner_admin::{Runner, RunnerStatus};

/// Explains a runner that takes no jobs, and what happens to the jobs that it holds.
pub(super) async fn describe(
    visit: &PageContext,
    member: &Member,
    runner: &Runner,
    now: Timestamp,
) -> Result<Option<SafeText>, Fault> {
    let silent = labels::format_time(runner.last_heartbeat, now).text;
    let rest = match runner.busy {
        0 => "it is idle".to_owned(),
        n => format!("it finishes {}", format_count(n.into(), "job")),
    };
    let sentence = match (runner.status, &runner.drain) {
        (RunnerStatus::Online, _) => return Ok(None),
        (RunnerStatus::NeverHeard, _) => "It registered, but sent no heartbeat.".to_owned(),
        (RunnerStatus::Draining, None) => format!("The runner is stopping: {rest} and takes no new jobs."),
        (RunnerStatus::Draining, Some(drain)) if drain.acknowledged.is_none() => {
            format!("{} requested a drain; the runner has not confirmed it.", drain.by)
        }
        (RunnerStatus::Draining, Some(drain)) => format!("Drained by {}: {rest} and takes no new jobs.", drain.by),
        (RunnerStatus::Deleting, _) => "Its jobs are taken away first.".to_owned(),
        (RunnerStatus::Offline, _) if runner.busy == 0 => {
            format!("Last heartbeat {silent}. It holds no job; each job that it lost names this runner as the reason.")
        }
        (RunnerStatus::Offline, _) => {
            let forecast = control::forecast_loss(&visit.ctx, &member.runner, LossReason::Silent).await?;
            format!("Last heartbeat {silent}. Unless it returns: {}.", format_forecast(&forecast))
        }
    };
    Ok(Some(line(&sentence)))
}

pub(super) fn format_forecast(forecast: &LossForecast) -> String {
    let LossForecast { requeued, adopted, failed, pushing } = *forecast;
    let count = |n: usize| format_count(n.try_into().unwrap_or(u64::MAX), "running job");
    let parts = [
        (requeued, "will be requeued for another attempt"),
        (adopted, "will be checked for a pushed commit, and fails without one"),
        (failed, "will fail"),
        (pushing, "may complete, because its push has begun"),
    ];
    let parts = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, outcome)| format!("{} {outcome}", count(n)));
    let sentence = parts.collect::<Vec<_>>().join("; ");
    if sentence.is_empty() { "It is running no job".to_owned() } else { sentence }
}
