//! Sweeps all self-hosted runners: sets silent ones Offline, takes away jobs without a process, finishes removals.

use super::deadlines::{RUNNERS_UNTIL, RoundTimer};
use super::gauges::count_runner;
use super::report::{Failures, Report};
use super::write_step::write_step;
use crate::runner::{delete_with_mailbox, load_profiles, load_token_state};
use crate::{Context, Error};
use futures::StreamExt as _;
use pullyard_domain::agent::runner::{Runner, Slot};
use pullyard_domain::job::fleet::{FleetSnapshot, MemberSummary};
use pullyard_domain::job::sweep::runners::{
    LossReason, RunnerStep, TokenState, is_slot_of_job, is_storm, is_unwatched, next_step,
};
use pullyard_domain::job::sweep::step_after_runner_loss;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{Gauges, RunnerCondition, Store, Write};
use std::collections::HashMap;
use tokio::sync::Mutex;

/// Concurrency: each of a thousand runners may need a few calls of some milliseconds in one round.
const CONCURRENCY: usize = 16;

/// Steps of one runner in one round: Offline, loss of its jobs, removal.
const MAX_STEPS: usize = 3;

/// Checks every runner, as time permits. Silence before `since` does not count, as the sweeper may have been down.
/// Returns the runners as they were read.
pub(super) async fn sweep_runners(
    ctx: &Context,
    time: &RoundTimer<'_>,
    since: Timestamp,
    gauges: &mut Gauges,
    report: &mut Report,
) -> Result<Vec<Runner>, Error> {
    let (mut runners, mut faults) = (Vec::new(), Failures::default());
    for shard in Store::runner_shards() {
        let read = time.run_before(RUNNERS_UNTIL, "read the runners", ctx.store.list_shard_runners(shard)).await;
        let listed = match read {
            Ok(listed) => listed,
            Err(error) => {
                faults.record(Err::<(), _>(error));
                if time.is_past(RUNNERS_UNTIL) {
                    break;
                }
                continue;
            }
        };
        for runner in listed {
            match runner {
                Ok(runner) => {
                    count_runner(gauges, &runner);
                    runners.push(runner);
                }
                Err(error) => {
                    report.failed += 1;
                    gauges.more = true;
                    tracing::error!(error = %error, "runner not readable");
                }
            }
        }
    }
    let storm = is_storm(&runners, faults.is_empty(), ctx.clock.now());
    let all = runners.clone();
    let tokens = Mutex::default();
    let swept = futures::stream::iter(runners).map(async |runner| {
        let (id, mut report) = (runner.id.clone(), Report::default());
        if time.is_past(RUNNERS_UNTIL) {
            report.has_more = true;
            return report;
        }
        let storm = storm || is_unwatched(&runner, since, ctx.clock.now());
        let result = time.run("sweep a runner", sweep_runner(ctx, runner, storm, &tokens, &mut report)).await;
        if let Err(error) = result {
            report.failed += 1;
            tracing::error!(runner = %id, error = %error, "sweep of a runner failed");
        }
        report
    });
    let mut swept = std::pin::pin!(swept.buffer_unordered(CONCURRENCY));
    while let Some(part) = swept.next().await {
        report.add_runner(&part);
    }
    faults.into_result().map(|()| all)
}

/// Stores the runners for views, as they were at this time.
/// Errors: also if they are too large for an item.
pub(super) async fn store_fleet(ctx: &Context, runners: Vec<Runner>, at: Timestamp) -> Result<(), Error> {
    let members = load_profiles(ctx, runners).await?.iter().map(MemberSummary::from).collect();
    ctx.store.put_fleet(&FleetSnapshot { at, members }).await?;
    Ok(())
}

type TokenCache = Mutex<HashMap<String, TokenState>>;

async fn sweep_runner(
    ctx: &Context,
    mut runner: Runner,
    storm: bool,
    tokens: &TokenCache,
    report: &mut Report,
) -> Result<(), Error> {
    for _ in 0..MAX_STEPS {
        let token = load_token(ctx, &runner, tokens).await?;
        let now = ctx.clock.now();
        match next_step(&runner, token, storm, now) {
            RunnerStep::Skip => return Ok(()),
            RunnerStep::MarkOffline(offline) => {
                if ctx.store.mark_offline(&runner, &offline).await? == Write::Stale {
                    return Ok(());
                }
                report.offline += 1;
                tracing::warn!(runner = %runner.id, name = %runner.name, slots = runner.slots.len(), storm, "silent runner is offline");
                if runner.slots.is_empty() {
                    return Ok(());
                }
            }
            RunnerStep::EndJobs(loss, jobs) => {
                let mut faults = Failures::default();
                for (job, slot) in jobs {
                    faults.record(take_job_away(ctx, &runner, loss, &job, &slot, report).await);
                }
                faults.into_result()?;
            }
            RunnerStep::DeleteUnused => {
                ctx.store.begin_removal(&runner).await?;
            }
            RunnerStep::Remove => {
                delete_with_mailbox(ctx, &runner).await?;
                tracing::info!(runner = %runner.id, name = %runner.name, "runner removed");
                return Ok(());
            }
        }
        match ctx.store.load_runner(&runner.id).await? {
            Some(next) if next != runner => runner = next,
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// Reads each token once per round. Runners without jobs need no token.
async fn load_token(ctx: &Context, runner: &Runner, tokens: &TokenCache) -> Result<TokenState, Error> {
    if runner.slots.is_empty() {
        return Ok(TokenState::Valid);
    }
    // Locked during the read, so that concurrent callers share it.
    let mut tokens = tokens.lock().await;
    if let Some(cached) = tokens.get(&runner.token) {
        return Ok(*cached);
    }
    let token = load_token_state(ctx, &runner.token).await?;
    tokens.insert(runner.token.clone(), token);
    Ok(token)
}

/// Takes one job from a runner, unless the runner may be pushing or has just sent a heartbeat.
async fn take_job_away(
    ctx: &Context,
    runner: &Runner,
    loss: LossReason,
    id: &JobId,
    slot: &Slot,
    report: &mut Report,
) -> Result<(), Error> {
    let now = ctx.clock.now();
    let job = ctx.store.load_job(id).await?;
    let Some(job) = job.filter(|job| is_slot_of_job(job, runner, slot)) else {
        // The job has ended since the runner was read.
        return Ok(());
    };
    let condition = match loss {
        LossReason::Silent => RunnerCondition::Offline { epoch: runner.epoch },
        LossReason::NoProcess => RunnerCondition::LastHeartbeat { epoch: runner.epoch, at: runner.last_heartbeat },
        // No later heartbeat changes this.
        LossReason::Deleted | LossReason::TokenInvalid => RunnerCondition::Exists,
    };
    // Stale is harmless: the job ended, or the runner sent a heartbeat. The next round judges again.
    let step = step_after_runner_loss(&job, loss.failure(runner, now), now);
    if write_step(ctx, &job, step, condition, now).await? == Some(Write::Applied) {
        report.written += 1;
    }
    Ok(())
}
