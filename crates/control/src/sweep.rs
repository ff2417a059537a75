//! Sweeps everything that is due, in one bounded round. Failing items are put off, so that they do not block others.

mod gauges;
mod held;
mod projects;
pub(crate) mod put_off;
mod ready;
mod report;
mod runners;
mod time;

use crate::jobs::ending::write_end;
use crate::jobs::requeue::write_requeue;
use crate::{Context, Error};
use gauges::Scheduled;
use held::sweep_held;
use pullyard_domain::gauges::{Gauges, MAX_CLOCK_SKEW};
use pullyard_domain::id::JobId;
use pullyard_domain::runner::sweep::uninterrupted_since;
use pullyard_domain::sweep::{JobStep, next_step};
use pullyard_domain::wakeup::{JobWakeup, PollWakeup, PullRequestWakeup, TicketWakeup};
use pullyard_store::{Proof, Sweeps, WorkKey, Write};
use put_off::put_off;
use ready::{replace, sweep_ready};
use report::Faults;
pub use report::{Report, Round};
use runners::sweep_runners;
use std::time::Duration;
use time::{Limits, Time, in_turn};

const PER_SHARD: usize = 25;

const READY_EVERY: Duration = Duration::from_secs(60);

/// Runs a scheduled round. Each part has a time limit and handles its own read errors; the next round does the rest.
/// Idempotent: each step is a conditional write or a hint, so concurrent sweepers are harmless.
pub async fn sweep(ctx: &Context) -> Round {
    go_round(ctx, Limits::SCHEDULED).await
}

pub async fn sweep_by_hand(ctx: &Context) -> Round {
    go_round(ctx, Limits::BY_HAND).await
}

/// Sweeps runners in every round. Waiting jobs and gauges need complete reads, so they follow once a minute only.
/// Writes: the note of the round, unless a later one is stored.
async fn go_round(ctx: &Context, limits: Limits) -> Round {
    let time = &Time::begin(&ctx.clock, limits);
    let now = ctx.clock.now();
    let (mut report, mut faults) = (Report::default(), Faults::default());
    let (mut scheduled, mut gauges) = (Scheduled::default(), Gauges::default());
    let read = time.one("read the last round", ctx.store.sweeps()).await;
    // Without a readable note, or with a note from a wrong clock, no runner is judged by its silence.
    let last = read.as_ref().ok().and_then(Option::as_ref).filter(|last| last.at <= now.plus(MAX_CLOCK_SKEW));
    let since = uninterrupted_since(last.and_then(|last| Some((last.at, last.since?))), now);
    // First, so that silences are judged a minute apart, regardless of the other parts.
    faults.note(Box::pin(sweep_runners(ctx, time, since, &mut gauges, &mut report)).await);
    for shard in in_turn(now) {
        faults.note(Box::pin(of_shard(ctx, shard, time, &mut scheduled, &mut report)).await);
    }
    let looks = last.is_none_or(|last| last.ready_at > now || now.since(last.ready_at) >= READY_EVERY);
    let mut round = Sweeps {
        at: now,
        ready_at: last.map_or(now, |last| last.ready_at),
        since: Some(since),
        gauges: last.and_then(|last| last.gauges.clone()),
    };
    if looks {
        faults.note(Box::pin(sweep_ready(ctx, time, &mut gauges, &mut report)).await);
        faults.note(Box::pin(sweep_held(ctx, time, &mut gauges, &mut report)).await);
        faults.note(scheduled.count(ctx, time, &mut gauges).await);
        // A manual round has less time. The parts that it skips must not wait another minute.
        if faults.none() || limits == Limits::SCHEDULED {
            round.ready_at = now;
        }
        if faults.none() {
            let gauges = gauges.finish(now);
            round.gauges = Some(gauges.clone());
            report.gauges = Some(gauges);
        } else {
            round.gauges = Some(gauges.or_recent(gauges::of_before(ctx, time, &read).await, now));
        }
    }
    // Last, because the counts do not depend on the note, and a failed read must not lose them.
    faults.note(read);
    let noted = time.last("record the sweep", ctx.store.put_sweeps(&round)).await;
    let is_noted = noted.is_ok();
    faults.note(noted);
    report.failed = report.failed.saturating_add(faults.count());
    tracing::info!(?report, noted = is_noted, "sweep finished");
    let fault = faults.told().err();
    if let Some(error) = &fault {
        tracing::error!(error = %error, "part of a sweep failed");
    }
    Round { report, noted: is_noted, fault }
}

async fn of_shard(
    ctx: &Context,
    shard: u8,
    time: &Time<'_>,
    scheduled: &mut Scheduled,
    report: &mut Report,
) -> Result<(), Error> {
    let now = ctx.clock.now();
    // Read even without time for processing, because all rows are counted.
    let read = ctx.store.scheduled(shard, gauges::PER_SHARD);
    let rows = time.before(time.limits.ready, "read the due items", read).await?;
    scheduled.note(&rows, now);
    let due: Vec<_> = rows.into_iter().filter(|(_, at)| *at <= now).take(PER_SHARD).collect();
    report.more |= due.len() >= PER_SHARD;
    for (key, _) in due {
        if time.is_over(time.limits.due) {
            report.more = true;
            break;
        }
        report.looked_at += 1;
        take_up(ctx, &key, time, report).await;
    }
    Ok(())
}

async fn take_up(ctx: &Context, key: &WorkKey, time: &Time<'_>, report: &mut Report) {
    match time.one("take up an item", done_about(ctx, key)).await {
        Ok(Done::Start) => report.started += 1,
        Ok(Done::Requeue) => report.requeued += 1,
        Ok(Done::End) => report.ended += 1,
        Ok(Done::Ticket) => report.tickets += 1,
        Ok(Done::Admit) => report.admitted += 1,
        Ok(Done::Look) => report.looks += 1,
        Ok(Done::PullRequest) => report.pull_requests += 1,
        Ok(Done::Nothing) => report.nothing += 1,
        Err(error) => {
            report.failed += 1;
            tracing::error!(item = ?key, error = %error, "sweep of an item failed");
            let putting = async {
                put_off(ctx, key, None).await;
                Ok::<_, Error>(())
            };
            if let Err(error) = time.one("postpone an item", putting).await {
                tracing::warn!(item = ?key, error = %error, "failed item not postponed");
            }
        }
    }
}

async fn done_about(ctx: &Context, key: &WorkKey) -> Result<Done, Error> {
    match key {
        WorkKey::Job(job) => sweep_job(ctx, job).await,
        WorkKey::Ticket(project, ticket) => {
            let wakeup = TicketWakeup { project: project.clone(), ticket: ticket.clone() };
            ctx.wakeups.wake_ticket(&wakeup).await.map(|()| Done::Ticket).map_err(Error::from)
        }
        WorkKey::PullRequest(id) => {
            let wakeup = PullRequestWakeup { pull_request: id.clone() };
            ctx.wakeups.wake_pull_request(&wakeup).await.map(|()| Done::PullRequest).map_err(Error::from)
        }
        WorkKey::Poll(project, integration, repository) => {
            let wakeup =
                PollWakeup { poll: project.clone(), integration: integration.clone(), repository: *repository };
            ctx.wakeups.poll(&wakeup).await.map(|()| Done::Look).map_err(Error::from)
        }
    }
}

enum Done {
    Start,
    Requeue,
    End,
    Ticket,
    Admit,
    PullRequest,
    Look,
    Nothing,
}

async fn sweep_job(ctx: &Context, job: &JobId) -> Result<Done, Error> {
    let mut rounds = ctx.rounds(job);
    loop {
        let now = ctx.clock.now();
        let Some(job) = ctx.store.job(job).await? else {
            return Ok(Done::Nothing);
        };
        let (written, done) = match next_step(&job, now) {
            JobStep::Nothing => return Ok(Done::Nothing),
            JobStep::Admit => {
                // Another function may call forges. It checks the job again.
                ctx.wakeups.admit_job(&JobWakeup { job: job.id.clone() }).await?;
                return Ok(Done::Admit);
            }
            JobStep::Start if replace(ctx, &job).await? => return Ok(Done::Start),
            JobStep::Start | JobStep::Restart(_) => {
                // Only the dispatcher starts tasks. It checks the job again.
                ctx.wakeups.wake_job(&JobWakeup { job: job.id.clone() }).await?;
                return Ok(Done::Start);
            }
            JobStep::Requeue(failure) => {
                let next = job.requeue(now).map_err(|refusal| Error::refused(refusal, now))?;
                (write_requeue(ctx, &job, &next, failure, Proof::Nothing, now).await?, Done::Requeue)
            }
            JobStep::Adopt(loss) => {
                let next = job.requeue_to_adopt(loss.clone(), now).map_err(|refusal| Error::refused(refusal, now))?;
                (write_requeue(ctx, &job, &next, loss, Proof::Nothing, now).await?, Done::Requeue)
            }
            JobStep::Expire => {
                let next = job.expire_suspension(now).map_err(|refusal| Error::refused(refusal, now))?;
                (write_end(ctx, &job, &next, Proof::Nothing, now).await?, Done::End)
            }
            JobStep::Cancel => {
                let next = job.enforce_cancel(now).map_err(|refusal| Error::refused(refusal, now))?;
                (write_end(ctx, &job, &next, Proof::Nothing, now).await?, Done::End)
            }
            JobStep::Fail(failure) => {
                let next = job.fail(failure, now).map_err(|refusal| Error::refused(refusal, now))?;
                (write_end(ctx, &job, &next, Proof::Nothing, now).await?, Done::End)
            }
        };
        if written == Write::Applied {
            return Ok(done);
        }
        rounds.again().await?;
    }
}
