//! Moves a run: notes the ends of its jobs, and creates the jobs of the next steps.

use super::facts::{LoadedFacts, load_facts};
use super::group::{MAX_ROUNDS, wake_next_runs};
use super::step_job::plan_step_job;
use crate::jobs::cancel_job::cancel_job;
use crate::postpone::postpone_after;
use crate::{Context, Error};
use pullyard_domain::job::Job;
use pullyard_domain::run::notice::Notice;
use pullyard_domain::run::{FrozenPlan, Move, Run, RunFailure, RunWant, next_move};
use pullyard_domain::text::id::RunId;
use pullyard_store::{RunWrite, WorkKey, Write};

/// Moves for one message. A further message continues, so that none exceeds the function's time.
const MAX_MOVES: usize = 20;

/// Moves a run until the end of a job, a user or the time moves it next.
/// Writes: RUN, GROUP, noted JOBs, new JOBs, BUDGET and NOTICE, in one transaction for each move; before it the cancels
/// of jobs, and the contexts and classes of new ones.
/// Idempotent: a repeat decides from the stored run. It stays due until no move is left, and a job until it is noted.
/// Errors: `Contended`; a lasting error also postpones the run.
pub async fn advance_run(ctx: &Context, id: &RunId) -> Result<(), Error> {
    let result = advance(ctx, id).await;
    postpone_after(ctx, &WorkKey::Run(id.clone()), result, |error| !error.is_transient()).await
}

async fn advance(ctx: &Context, id: &RunId) -> Result<(), Error> {
    let (mut rounds, mut moves) = (ctx.retries(id).up_to(MAX_ROUNDS), 0);
    let Some(frozen) = ctx.store.load_plan(id).await? else { return Ok(()) };
    while moves < MAX_MOVES {
        let Some(run) = ctx.store.load_run(id).await? else { return Ok(()) };
        let facts = load_facts(ctx, &run, &frozen).await?;
        if (facts.project.is_none() || facts.repository.is_none()) && run.want == RunWant::Run {
            tracing::warn!(run = %id, "run ends: its project or repository was removed");
            let Ok(cancelled) = run.cancel(("Pullyard", facts.run.now)) else { return Ok(()) };
            let ended = Run { failure: Some(RunFailure::PlaceGone), ..cancelled };
            // Stored before the first job is cancelled, because a user may connect the repository again meanwhile.
            match ctx.store.update_run(&ended).await? {
                Write::Applied => moves += 1,
                Write::Stale => rounds.backoff().await?,
            }
            continue;
        }
        let Some(next) = next_move(&run, &facts.run) else { return Ok(()) };
        match Box::pin(apply(ctx, &frozen, &facts, (&run, next))).await? {
            Write::Applied => moves += 1,
            Write::Stale => rounds.backoff().await?,
        }
    }
    ctx.wake_run(id).await;
    Ok(())
}

async fn apply(
    ctx: &Context,
    frozen: &FrozenPlan,
    facts: &LoadedFacts<'_>,
    (before, next): (&Run, Move),
) -> Result<Write, Error> {
    let Move { run, noted, created, cancelled, group } = next;
    let is_ordered = run.want == RunWant::Cancel && run.failure.is_none();
    let (by, reason) = match run.ordered_by.as_deref().filter(|_| is_ordered) {
        Some(user) => (user, "Its run was cancelled."),
        None => ("Pullyard", "Its run ends."),
    };
    for job in &cancelled {
        match cancel_job(ctx, job, by, Some(reason)).await {
            // The job has ended, or was never created.
            Ok(_) | Err(Error::Denied(_) | Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let note = |job: &Job| {
        let mut job = Job { is_noted: true, ..job.clone() };
        // An orphaned task is due at its own time.
        job.reset_sweep_backoff();
        job
    };
    let is_noted = |job: &&Job| noted.contains(&job.id);
    let noted: Vec<Job> = facts.jobs.iter().filter(is_noted).map(note).collect();
    // At most one of these jobs writes to the branch.
    let result = noted.iter().find_map(|job| job.result.clone()).or(run.result.clone());
    let mut run = Run { result, ..run };
    let (mut jobs, mut charge) = (Vec::new(), None);
    for plan in &created {
        let (Some(project), Some(repository)) = (&facts.project, &facts.repository) else { break };
        match plan_step_job(ctx, (project, repository), frozen, (&run, plan), facts.run.now).await? {
            Ok(job) => {
                charge = project.settings.budget.charge(&job);
                jobs.push(job);
            }
            Err(refusal) => {
                tracing::warn!(run = %run.id, step = plan.step, "step refused by the settings: {refusal}");
                run = run.refuse_step(plan, facts.run.now);
            }
        }
    }
    let url = format!("{}/runs/{}", ctx.pages_url(), run.id);
    let notice = facts.project.as_ref().and_then(|project| {
        Notice::of_run((before, &run), &frozen.plan, &project.settings.notifications, url, facts.run.now)
    });
    let (charge, group, notice) = (charge.as_ref(), group.as_ref(), notice.as_ref());
    let write = RunWrite { run: &run, noted: &noted, created: &jobs, charge, group, notice };
    let write = ctx.store.move_run(&write).await?;
    if write == Write::Applied {
        tracing::info!(run = %run.id, state = run.state.as_str(), noted = noted.len(), created = jobs.len(), "run moved");
        ctx.send_hints(async {
            for job in &jobs {
                ctx.wake_job(&job.id).await;
            }
            if let Some(notice) = notice {
                ctx.wake_notice(notice).await;
            }
        })
        .await;
        if let Some(group) = group {
            wake_next_runs(ctx, group, &frozen.plan).await;
        }
    }
    Ok(write)
}
