//! Sweeps the Ready jobs of runners that are unclaimed or misplaced. Without a due time, they are listed by class.

use super::deadlines::RoundTimer;
use super::gauges::count_waiting;
use super::projects::list_projects_rotated;
use super::report::Report;
use crate::jobs::finish_job::{WriteParts, write_end};
use crate::runner::WaitExplainer;
use crate::{Context, Error};
use pullyard_domain::id::{ClassId, JobId, ProjectId};
use pullyard_domain::job::{Job, JobStatus, Placement};
use pullyard_domain::project::Project;
use pullyard_domain::select::ClassRequirements;
use pullyard_domain::sweep::{WaitingStep, next_waiting_step, required_place};
use pullyard_domain::time::Timestamp;
use pullyard_domain::wait::Wait;
use pullyard_store::{Error as StoreError, Gauges, Write};

const MAX_JOBS_SWEPT: usize = 25;
/// Jobs counted per class. A read costs at least half a unit, which covers as many.
const MAX_COUNTED: i32 = 40;

pub(super) async fn sweep_ready(
    ctx: &Context,
    time: &RoundTimer<'_>,
    gauges: &mut Gauges,
    report: &mut Report,
) -> Result<(), Error> {
    let until = time.limits.ready;
    let mut waits = WaitExplainer::default();
    for id in list_projects_rotated(ctx, time, until).await? {
        time.check(until, "sweep the waiting jobs of runners")?;
        match sweep_project(ctx, time, &id, gauges, &mut waits, report).await {
            Ok(()) => {}
            Err(error @ Error::Timeout { .. }) if time.is_past(until) => return Err(error),
            Err(error) => {
                report.failed += 1;
                gauges.more = true;
                tracing::error!(project = %id, error = %error, "sweep of a project's waiting jobs failed");
            }
        }
    }
    Ok(())
}

async fn sweep_project(
    ctx: &Context,
    time: &RoundTimer<'_>,
    id: &ProjectId,
    gauges: &mut Gauges,
    waits: &mut WaitExplainer,
    report: &mut Report,
) -> Result<(), Error> {
    // Read once for all jobs of the project; the next round sees changes.
    let until = time.limits.ready;
    let Some(project) = time.run_before(until, "read a project", ctx.store.load_project(id)).await? else {
        return Ok(());
    };
    for class in time.run_before(until, "read the classes of a project", ctx.store.list_classes(&project.id)).await? {
        time.check(until, "sweep the waiting jobs of a project")?;
        match sweep_class(ctx, time, &project, class, gauges, waits, report).await {
            Ok(()) => {}
            Err(error @ Error::Timeout { .. }) if time.is_past(until) => return Err(error),
            Err(error) => {
                report.failed += 1;
                gauges.more = true;
                tracing::error!(project = %id, error = %error, "sweep of a class's waiting jobs failed");
            }
        }
    }
    Ok(())
}

async fn sweep_class(
    ctx: &Context,
    time: &RoundTimer<'_>,
    project: &Project,
    class: Result<(ClassId, ClassRequirements), StoreError>,
    gauges: &mut Gauges,
    waits: &mut WaitExplainer,
    report: &mut Report,
) -> Result<(), Error> {
    let (class, _) = class?;
    let until = time.limits.ready;
    let rows = time
        .run_before(until, "read the waiting jobs of a class", ctx.store.list_ready_jobs(&class, MAX_COUNTED))
        .await?;
    gauges.more |= i32::try_from(rows.len()).is_ok_and(|len| len >= MAX_COUNTED);
    let mut oldest = None;
    for row in rows.iter().take(MAX_JOBS_SWEPT) {
        time.check(until, "sweep the waiting jobs of a class")?;
        match time.run("sweep a waiting job", sweep_ready_job(ctx, project, &row.job, waits, report)).await {
            Ok(since) => oldest = [oldest, since].into_iter().flatten().min(),
            Err(error) => {
                report.failed += 1;
                tracing::error!(job.id = %row.job, error = %error, "sweep of a waiting job failed");
            }
        }
    }
    count_waiting(gauges, &project.id, u32::try_from(rows.len()).unwrap_or(u32::MAX), oldest);
    Ok(())
}

async fn sweep_ready_job(
    ctx: &Context,
    project: &Project,
    id: &JobId,
    waits: &mut WaitExplainer,
    report: &mut Report,
) -> Result<Option<Timestamp>, Error> {
    let Some(job) = ctx.store.load_job(id).await? else { return Ok(None) };
    report.checked += 1;
    let now = ctx.clock.now();
    let compute = project.settings.compute;
    // Only giving up needs the reason, which requires reading the runners.
    let why = match next_waiting_step(&job, compute, "", now) {
        WaitingStep::Fail(_) => {
            waits.explain(ctx, &job, now).await?.map(|wait: Wait| wait.sentence()).unwrap_or_default()
        }
        _ => String::new(),
    };
    match next_waiting_step(&job, compute, &why, now) {
        WaitingStep::Skip => {}
        WaitingStep::Move(place) => {
            move_job(ctx, &job, place).await?;
        }
        WaitingStep::Fail(failure) => {
            let next = job.fail(failure, now).map_err(|refusal| Error::from_refusal(refusal, now))?;
            let written = write_end(ctx, &job, &next, WriteParts::default(), now).await?;
            report.ended += u32::from(written == Write::Applied);
            return Ok(None);
        }
    }
    Ok((job.status == JobStatus::Ready).then_some(job.ready_since))
}

/// Writes: JOB if `rev` is unchanged; CLASS first, if the job moves to runners.
pub(super) async fn move_if_misplaced(ctx: &Context, job: &Job) -> Result<bool, Error> {
    let Some(project) = ctx.store.load_project(&job.project).await? else { return Ok(false) };
    match required_place(job, project.settings.compute, ctx.clock.now()) {
        None => Ok(false),
        Some(place) => move_job(ctx, job, place).await,
    }
}

async fn move_job(ctx: &Context, job: &Job, place: Placement) -> Result<bool, Error> {
    let now = ctx.clock.now();
    let Ok(mut next) = job.move_to(place, now) else { return Ok(false) };
    if place == Placement::Runners {
        // The class of a job planned for Fargate may lack labels.
        let context = ctx.store.load_context(&job.id, &job.context).await?;
        let context = context.ok_or_else(|| Error::Inconsistent(format!("{} has no context", job.id)))?;
        let labels = context.ticket.as_ref().map(|(_, text)| text.runner_labels()).unwrap_or_default();
        let needs = ClassRequirements {
            capability: context.repository.agent.capability.clone(),
            labels,
            key: job.policy.key_owner(),
        };
        next.class = ClassId::for_key(job.project.as_str(), &needs.capability, &needs.labels, needs.key);
        if ctx.store.load_class(&next.project, &next.class).await?.is_none() {
            ctx.store.create_class(&next.project, &next.class, &needs).await?;
        }
    }
    let moved = ctx.store.update_job(&next).await? == Write::Applied;
    if moved {
        tracing::info!(job.id = %job.id, place = ?place, "waiting job moved to other compute");
        if place == Placement::Fargate {
            ctx.wake_job(&job.id).await;
        }
    }
    Ok(moved)
}
