//! Starts a task for a Ready job or wakes runners, and stops the tasks of lost attempts and ended jobs.
//! No other module calls ECS for tasks.

use crate::counters::Counter;
use crate::jobs::machine_queue::find_first;
use crate::jobs::places::assign_places;
use crate::postpone::postpone_after;
use crate::runner::wake_runners;
use crate::signed_tokens::Bootstrap;
use crate::{Context, Error};
use pullyard_cloud::{StartOutcome, TaskStart, trace};
use pullyard_domain::agent::breaker::{breaker_ids, longest_delay};
use pullyard_domain::job::{DispatchFault, Job, JobStatus, Placement, START_TIMEOUT, TransitionRefusal};
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{WorkKey, Write};

/// Stores the start, then calls RunTask with the start's number in the client token, so that a repeat is the same task.
/// Idempotent: by that number; stopping a task is repeatable.
pub async fn dispatch(ctx: &Context, job: &JobId) -> Result<(), Error> {
    let (mut hinted, mut assigned) = (ctx.load_job(job).await?, Ok(()));
    if hinted.awaits_place() || hinted.has_left_its_place() {
        // Neither the assignment of places nor the stop of a task waits for the success of the other.
        assigned = assign_places(ctx, &hinted).await;
        hinted = ctx.load_job(job).await?;
    }
    let first = if ctx.on_one_machine { Box::pin(find_first(ctx, Some(job))).await? } else { None };
    let started = Box::pin(start_or_stop(ctx, hinted.clone(), first.as_ref())).await;
    if ctx.on_one_machine && started.is_err() {
        // Its due time repeats it. It must not stop the others.
        ctx.machine_queue().remove(&hinted);
    }
    // A refused job has found no place, so the others would find none. A failed start took no place.
    if first.is_some() && (started.is_err() || !ctx.load_job(job).await?.awaits_machine(ctx.clock.now())) {
        Box::pin(start_waiting(ctx)).await?;
    }
    started?;
    assigned
}

/// Starts the jobs that wait for a place of this machine in their order, until one is refused. `dispatch` calls it when a
/// place may be free, and `up` at its start.
pub async fn start_waiting(ctx: &Context) -> Result<(), Error> {
    let mut refused = None;
    while let Some(first) = Box::pin(find_first(ctx, None)).await? {
        if refused.as_ref() == Some(&first.id) {
            break;
        }
        refused = Some(first.id.clone());
        // A job whose start fails, for example by an unreadable breaker, stays due. It must not stop the others.
        if let Err(error) = Box::pin(start_or_stop(ctx, first.clone(), None)).await {
            tracing::warn!(job.id = %first.id, error = %error, "waiting job not started; its next due time repeats it");
            ctx.machine_queue().remove(&first);
        }
    }
    Ok(())
}

/// `first`: another job that waits for a place of this machine. A job behind it gets none.
async fn start_or_stop(ctx: &Context, loaded: Job, first: Option<&Job>) -> Result<(), Error> {
    let id = loaded.id.clone();
    let (mut rounds, mut loaded) = (ctx.retries(&id), Some(loaded));
    let stored = loop {
        let job = match loaded.take() {
            Some(job) => job,
            None => ctx.load_job(&id).await?,
        };
        if let Ok(next) = job.record_stopped_orphans() {
            stop_or_abandon_orphans(ctx, &job).await?;
            if ctx.store.update_job(&next).await? == Write::Stale {
                rounds.backoff().await?;
            }
            continue;
        }
        if job.awaits_place() {
            return Ok(());
        }
        if job.status == JobStatus::Ready && job.place == Placement::Runners {
            return wake_runners(ctx, &job).await;
        }
        let next = match next_start_step(&job, ctx.clock.now()) {
            StartStep::Skip => return Ok(()),
            StartStep::Repeat => break job,
            StartStep::Write(mut next) => {
                // Stored with the start, so that a repeated RunTask has the same parameters.
                next.dispatch.trace = trace::current_trace();
                *next
            }
        };
        let Some(next) = delay_for_breaker(ctx, &job, next).await? else { return Ok(()) };
        let is_behind = first.is_some_and(|first| (first.order(), &first.id) < (job.order(), &job.id));
        // One write: a repeat of a stored start would call RunTask.
        let next = if is_behind { next.wait_behind(ctx.clock.now()).unwrap_or(next) } else { next };
        match ctx.store.update_job(&next).await? {
            Write::Applied if next.is_waiting_for_model(ctx.clock.now()) && !next.dispatch.starting => {
                tracing::info!(job.id = %next.id, "job waits for its model account's breaker");
                return Ok(());
            }
            Write::Applied if next.awaits_machine(ctx.clock.now()) => {
                ctx.machine_queue().add(&next);
                return Ok(());
            }
            // A start got no answer and was given up. The next one is due later.
            Write::Applied if !next.dispatch.starting => {
                ctx.counters().add(Counter::TaskStartFailed);
                return Ok(());
            }
            Write::Applied => break Job { rev: next.rev + 1, ..next },
            Write::Stale => rounds.backoff().await?,
        }
    };
    run_task(ctx, &stored).await
}

/// Replaces a start by the delayed job while the breaker of its model is open. `None` if the job is delayed already.
/// Only a project that names the account can have a breaker here.
async fn delay_for_breaker(ctx: &Context, job: &Job, next: Job) -> Result<Option<Job>, Error> {
    let Some(capability) = job.policy.model_of.as_ref().filter(|_| next.dispatch.starting) else {
        return Ok(Some(next));
    };
    let ids = breaker_ids(job.policy.key_owner(), capability, &job.project, None).into_iter().collect();
    let breakers = ctx.store.load_breakers(&ids).await?;
    let now = ctx.clock.now();
    Ok(match longest_delay(&breakers, &job.id, now) {
        Some((breaker, until)) => job.delay_for_model(breaker.cause, capability, until, now).ok(),
        None => Some(next),
    })
}

enum StartStep {
    Skip,
    /// A start was stored, but RunTask may not have been called.
    Repeat,
    /// The next start, or the end of a start without an answer.
    Write(Box<Job>),
}

fn next_start_step(job: &Job, now: Timestamp) -> StartStep {
    if job.status != JobStatus::Ready || job.place != Placement::Fargate || job.start_failure().is_some() {
        return StartStep::Skip;
    }
    let due = job.dispatch.due <= now;
    if job.dispatch.starting {
        return match (due, &job.dispatch.task) {
            (false, Some(_)) => StartStep::Skip,
            (false, None) => StartStep::Repeat,
            (true, _) => {
                let silent = DispatchFault::Silent;
                job.record_start_fault(job.attempt + 1, job.dispatch.number, silent, now)
                    .map_or(StartStep::Skip, |next| StartStep::Write(Box::new(next)))
            }
        };
    }
    let is_first_start = job.dispatch.number == 0 && job.dispatch.fault.is_none() && !job.is_waiting_for_model(now);
    if is_first_start || due || job.awaits_machine(now) {
        job.begin_dispatch(now).map_or(StartStep::Skip, |next| StartStep::Write(Box::new(next)))
    } else {
        StartStep::Skip
    }
}

async fn run_task(ctx: &Context, job: &Job) -> Result<(), Error> {
    let (attempt, number) = (job.attempt + 1, job.dispatch.number);
    let bootstrap = Bootstrap {
        job: job.id.clone(),
        attempt,
        dispatch: number,
        // Stored values only, so that a repeated RunTask has the same parameters.
        expires: job.dispatch.due.plus(START_TIMEOUT),
    };
    let token = ctx.load_signing_key().await?.sign_bootstrap(&bootstrap)?;
    let mut start = TaskStart {
        job: &job.id,
        attempt,
        dispatch: number,
        task: job.task,
        environment: vec![
            ("PULLYARD_API_URL", ctx.api_url.clone()),
            ("PULLYARD_JOB", job.id.to_string()),
            ("PULLYARD_ATTEMPT", attempt.to_string()),
            ("PULLYARD_BOOTSTRAP", token),
            ("PULLYARD_ISOLATION", ctx.task_isolation.clone()),
        ],
    };
    start.environment.extend(job.dispatch.trace.as_ref().map(|trace| ("PULLYARD_TRACE_ID", trace.to_string())));
    let now = ctx.clock.now();
    let started = ctx.tasks.run(&start).await?;
    tracing::info!(job.id = %job.id, attempt, dispatch = number, started = ?started, "task requested");
    let fault = match started {
        StartOutcome::Task { arn } => {
            ctx.counters().add(Counter::TaskStarted);
            store_task_arn(ctx, job, attempt, number, &arn).await;
            return Ok(());
        }
        StartOutcome::NoCapacity => DispatchFault::Capacity { since: now },
        StartOutcome::NoPlace if ctx.on_one_machine => DispatchFault::MachineFull,
        StartOutcome::NoPlace => DispatchFault::Capacity { since: now },
        StartOutcome::Throttled => DispatchFault::Throttled,
        StartOutcome::Refused { reason, refusal } => {
            tracing::error!(job.id = %job.id, reason, ?refusal, "ECS refused the task");
            DispatchFault::Refused { reason, refusal }
        }
    };
    let now = ctx.clock.now();
    let recorded = update_job(ctx, &job.id, |job| job.record_start_fault(attempt, number, fault.clone(), now)).await;
    if fault == DispatchFault::MachineFull {
        ctx.machine_queue().add(job);
    } else if fault.is_alarming() {
        ctx.counters().add(Counter::TaskStartFailed);
    }
    recorded
}

/// Stores the task's ARN. Best effort: without it, a death before the claim is noticed only when the start is due.
async fn store_task_arn(ctx: &Context, stored: &Job, attempt: u32, number: u32, arn: &str) {
    let change = |job: &Job| job.set_task(attempt, number, arn);
    // Usually the job has not changed since the start. A later cancel then finds the ARN.
    if let Ok(next) = change(stored)
        && matches!(ctx.store.update_job(&next).await, Ok(Write::Applied))
    {
        return;
    }
    if let Err(error) = update_job(ctx, &stored.id, change).await {
        tracing::warn!(job.id = %stored.id, error = %error, "task name not stored");
    }
    stop_if_cancelled(ctx, &stored.id, arn).await;
}

/// Stops the task of a job that was cancelled during RunTask, before the ARN was known.
async fn stop_if_cancelled(ctx: &Context, job: &JobId, arn: &str) {
    let cancelled = matches!(ctx.store.load_job(job).await, Ok(Some(job)) if job.status == JobStatus::Cancelled);
    if cancelled && let Err(error) = ctx.tasks.stop(arn, "its job was cancelled").await {
        tracing::warn!(job.id = %job, error = %error, "task of a cancelled job not stopped; its claim will be refused");
    }
}

/// Errors: a task was not stopped. The message is retried, and the job stays due, for a day after its end.
async fn stop_or_abandon_orphans(ctx: &Context, job: &Job) -> Result<(), Error> {
    match stop_orphaned_tasks(ctx, job).await {
        Err(error) if job.may_abandon_orphans(ctx.clock.now()) => {
            let tasks = job.last_tasks().collect::<Vec<_>>();
            tracing::error!(job.id = %job.id, ?tasks, error = %error, "orphaned tasks not stopped for a day; stop them");
            Ok(())
        }
        // A job that has not ended would start, or be judged, later than its fault lasts.
        stopped => postpone_after(ctx, &WorkKey::Job(job.id.clone()), stopped, |_| job.status.is_terminal()).await,
    }
}

async fn stop_orphaned_tasks(ctx: &Context, job: &Job) -> Result<(), Error> {
    let reason = if job.status == JobStatus::Cancelled { "its job was cancelled" } else { "its attempt was lost" };
    let mut tasks = job.last_tasks().map(str::to_owned).collect::<Vec<_>>();
    if tasks.is_empty() {
        tasks = ctx.tasks.list(&job.id).await?;
    }
    let mut stopped = Ok(());
    for task in &tasks {
        stopped = stopped.and(ctx.tasks.stop(task, reason).await);
    }
    tracing::info!(job.id = %job.id, tasks = tasks.len(), ok = stopped.is_ok(), "orphaned tasks stopped");
    Ok(stopped?)
}

async fn update_job(
    ctx: &Context,
    job: &JobId,
    change: impl Fn(&Job) -> Result<Job, TransitionRefusal>,
) -> Result<(), Error> {
    let mut rounds = ctx.retries(job);
    while let Some(stored) = ctx.store.load_job(job).await? {
        match change(&stored) {
            Err(_) => break,
            Ok(next) if ctx.store.update_job(&next).await? == Write::Applied => break,
            Ok(_) => rounds.backoff().await?,
        }
    }
    Ok(())
}
