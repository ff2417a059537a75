//! Sweeps everything that is due, in one bounded round. Failing items are put off, so that they do not block others.

mod deadlines;
mod gauges;
mod held_entries;
mod projects;
mod ready_jobs;
mod report;
mod runners;
mod write_step;

use crate::postpone::{log_failure, postpone};
use crate::schedules::run_if_due;
use crate::{Context, Error};
use deadlines::{DUE_UNTIL, READY_UNTIL, RoundTimer, rotated_shards};
use gauges::ScheduledItems;
use held_entries::sweep_held_entries;
use pullyard_domain::job::fleet::SMALL_FLEET;
use pullyard_domain::job::sweep::runners::uninterrupted_since;
use pullyard_domain::job::sweep::{JobStep, Watch, next_step};
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::run::wakeup::{JobWakeup, PollWakeup, PullRequestWakeup, RunWakeup, TicketWakeup};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{Gauges, MAX_CLOCK_SKEW, RunnerCondition, SweeperState, WorkKey, Write};
use ready_jobs::{move_if_misplaced, sweep_ready};
use report::{Failures, Repair};
pub use report::{Report, SweepResult};
use runners::{store_fleet, sweep_runners};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use write_step::write_step;

/// Items handled per shard in one round. Skipped ones do not count, as they stay due and would block those behind them.
const ITEMS_PER_SHARD: usize = 25;

/// Less than the minute of the schedule, whose times vary.
const READY_INTERVAL: Duration = Duration::from_secs(50);

/// Silent attempts on tasks that one round ends before further ones must be silent for `STORM_SILENCE`.
const MAX_SILENT_PER_ROUND: u32 = 2;
const STORM_SILENCE: Duration = Duration::from_secs(300);

/// Runs one round. Each part has a time limit and handles its own read errors; the next round does the rest.
/// Sweeps runners in every round. Waiting jobs and gauges need complete reads, so they follow once a minute only.
/// Idempotent: each step is a conditional write or a hint, so concurrent sweepers are harmless.
/// Writes: a large fleet for views and the note of the round, unless later ones are stored.
pub async fn sweep(ctx: &Context) -> SweepResult {
    let time = &RoundTimer::begin(&ctx.clock);
    let now = ctx.clock.now();
    let (mut report, mut faults) = (Report::default(), Failures::default());
    let (mut scheduled, mut gauges) = (ScheduledItems::default(), Gauges::default());
    let read = time.run("read the last round", ctx.store.load_sweeper_state()).await;
    // Without a readable note, or with a note from a wrong clock, no runner is judged by its silence.
    let last = read.as_ref().ok().and_then(Option::as_ref).filter(|last| last.at <= now.plus(MAX_CLOCK_SKEW));
    let since = uninterrupted_since(last.and_then(|last| Some((last.at, last.since?))), now);
    // First, so that silences are judged a minute apart, regardless of the other parts.
    let runners = faults.record(Box::pin(sweep_runners(ctx, time, since, &mut gauges, &mut report)).await);
    let silence = SilenceGuard { since, ended: AtomicU32::new(0) };
    for shard in rotated_shards(now) {
        faults.record(Box::pin(sweep_shard(ctx, shard, &silence, time, &mut scheduled, &mut report)).await);
    }
    let cursors = last.map(|last| last.ready_cursors.clone()).unwrap_or_default();
    let is_ready_due = !cursors.is_empty()
        || last.is_none_or(|last| last.ready_at > now || now.since(last.ready_at) >= READY_INTERVAL);
    let mut round = SweeperState {
        at: now,
        ready_at: last.map_or(now, |last| last.ready_at),
        since: Some(since),
        ready_cursors: cursors,
        gauges: last.and_then(|last| last.gauges.clone()),
    };
    if is_ready_due {
        faults.record(Box::pin(sweep_ready(ctx, time, &mut round.ready_cursors, &mut gauges, &mut report)).await);
        faults.record(Box::pin(sweep_held_entries(ctx, time, &mut gauges, &mut report)).await);
        faults.record(scheduled.count_jobs(ctx, time, &mut gauges).await);
        round.ready_at = now;
        // An incomplete count leaves the gauges of the last round.
        if faults.is_empty() {
            let gauges = gauges::finish(gauges, now);
            round.gauges = Some(gauges.clone());
            report.gauges = Some(gauges);
        }
        // After the parts that jobs wait for, because only views need it.
        if let Some(runners) = runners.filter(|runners| runners.len() > SMALL_FLEET)
            && let Err(error) = time.run("store the fleet", Box::pin(store_fleet(ctx, runners, now))).await
        {
            tracing::warn!(error = %error, "large fleet not stored; without a recent list, views read all runners");
        }
    }
    // Last, because the counts do not depend on the record, and a failed read must not lose them.
    faults.record(read);
    let result = time.run_last("record the sweep", ctx.store.put_sweeper_state(&round)).await;
    let is_recorded = result.is_ok();
    faults.record(result);
    report.failed = report.failed.saturating_add(faults.count());
    tracing::info!(?report, noted = is_recorded, "sweep finished");
    let fault = faults.into_result().err();
    if let Some(error) = &fault {
        tracing::error!(error = %error, "part of a sweep failed");
    }
    SweepResult { report, is_recorded, error: fault }
}

/// Spares attempts on tasks while many are silent at once: then the API is more likely to be away than their machines.
struct SilenceGuard {
    /// Since when the sweeper runs without a pause.
    since: Timestamp,
    /// Silent attempts on tasks that this round has ended.
    ended: AtomicU32,
}

impl SilenceGuard {
    /// Attempts of runners are judged with their runner.
    fn is_storm(&self, job: &Job, now: Timestamp) -> bool {
        let Some(run) = job.run.as_ref().filter(|run| run.runner.is_none()) else { return false };
        self.ended.load(Ordering::Relaxed) >= MAX_SILENT_PER_ROUND && run.silence(now) < STORM_SILENCE
    }

    /// A write that does not apply ends no attempt, so only applied ones count.
    fn count_end(&self, job: &Job) {
        if job.run.as_ref().is_some_and(|run| run.runner.is_none()) {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn sweep_shard(
    ctx: &Context,
    shard: u8,
    silence: &SilenceGuard,
    time: &RoundTimer<'_>,
    scheduled: &mut ScheduledItems,
    report: &mut Report,
) -> Result<(), Error> {
    let now = ctx.clock.now();
    let (mut last, mut handled) = (None, 0);
    loop {
        // Read even without time for processing, because the rows are counted.
        let read = ctx.store.list_due_after(shard, last.as_ref(), gauges::KEYS_PER_SHARD);
        let mut page = time.run_before(READY_UNTIL, "read the due items", read).await?;
        scheduled.add_page(&page, now);
        for (key, _) in page.rows.iter().take_while(|(_, at)| *at <= now) {
            if handled >= ITEMS_PER_SHARD || time.is_past(DUE_UNTIL) {
                report.has_more = true;
                return Ok(());
            }
            report.checked += 1;
            let repair = sweep_item(ctx, key, silence, time).await;
            report.count(repair);
            handled += usize::from(repair != Repair::Skip);
        }
        last = page.rows.pop().filter(|(_, at)| page.is_full && *at <= now);
        if last.is_none() {
            return Ok(());
        }
    }
}

async fn sweep_item(ctx: &Context, key: &WorkKey, silence: &SilenceGuard, time: &RoundTimer<'_>) -> Repair {
    match time.run("take up an item", repair_item(ctx, key, silence)).await {
        Ok(repair) => repair,
        Err(error) => {
            tracing::error!(item = ?key, error = %error, "sweep of an item failed");
            log_failure(key, time.run("postpone an item", postpone(ctx, key, None)).await);
            Repair::Failure
        }
    }
}

async fn repair_item(ctx: &Context, key: &WorkKey, silence: &SilenceGuard) -> Result<Repair, Error> {
    match key.clone() {
        WorkKey::Job(job) => return sweep_job(ctx, &job, silence).await,
        WorkKey::Ticket(project, ticket) => ctx.wakeups.wake_ticket(&TicketWakeup { project, ticket }).await?,
        WorkKey::PullRequest(pull_request) => {
            ctx.wakeups.wake_pull_request(&PullRequestWakeup { pull_request }).await?;
        }
        WorkKey::Poll(poll, integration, repository) => {
            ctx.wakeups.wake_poll(&PollWakeup { poll, integration, repository }).await?;
            return Ok(Repair::Poll);
        }
        WorkKey::Notice(id) => {
            let Some(notice) = ctx.store.load_notice(&id).await? else { return Ok(Repair::Skip) };
            ctx.wake_notice(&notice).await;
        }
        WorkKey::Run(advance) => ctx.wakeups.wake_run(&RunWakeup { advance }).await?,
        WorkKey::Schedule(id) => {
            return Ok(run_if_due(ctx, &id).await?.map_or(Repair::Skip, |_| Repair::Write));
        }
    }
    Ok(Repair::Wakeup)
}

async fn sweep_job(ctx: &Context, job: &JobId, silence: &SilenceGuard) -> Result<Repair, Error> {
    let mut rounds = ctx.retries(job);
    loop {
        let now = ctx.clock.now();
        let Some(job) = ctx.store.load_job(job).await? else {
            return Ok(Repair::Skip);
        };
        if let Some(run) = job.unnoted_run() {
            ctx.wakeups.wake_run(&RunWakeup { advance: run.clone() }).await?;
        }
        let runner = match job.run.as_ref().and_then(|run| run.runner.as_ref()).filter(|_| job.status.is_active()) {
            Some(runner) => ctx.store.load_runner(runner).await?,
            None => None,
        };
        let project = match job.status {
            JobStatus::Ready => ctx.store.load_project(&job.project).await?,
            _ => None,
        };
        let watch = Watch { since: silence.since, runner: runner.as_ref(), project: project.as_ref() };
        let step = next_step(&job, watch, now);
        let is_silent = matches!(
            step,
            JobStep::Fail(Failure::AttemptSilent { .. }) | JobStep::Requeue(Failure::AttemptSilent { .. })
        );
        let write = match step {
            _ if is_silent && silence.is_storm(&job, now) => return Ok(Repair::Skip),
            JobStep::Admit => {
                // Another function may call forges. It checks the job again.
                ctx.wakeups.admit_job(&JobWakeup { job: job.id.clone() }).await?;
                return Ok(Repair::Wakeup);
            }
            JobStep::Start if move_if_misplaced(ctx, &job, project.as_ref()).await? => return Ok(Repair::Wakeup),
            JobStep::Start | JobStep::Restart(_) | JobStep::StopTask => {
                // Only the dispatcher starts and stops tasks. It checks the job again.
                ctx.wakeups.wake_job(&JobWakeup { job: job.id.clone() }).await?;
                return Ok(Repair::Wakeup);
            }
            step => match write_step(ctx, &job, step, RunnerCondition::Exists, now).await? {
                Some(write) => write,
                None if job.unnoted_run().is_some() => {
                    // The run may be unreadable, and must not block other items.
                    postpone(ctx, &WorkKey::Job(job.id.clone()), None).await?;
                    return Ok(Repair::Wakeup);
                }
                None => return Ok(Repair::Skip),
            },
        };
        if write == Write::Applied {
            if is_silent {
                silence.count_end(&job);
            }
            return Ok(Repair::Write);
        }
        rounds.backoff().await?;
    }
}
