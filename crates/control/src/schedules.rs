//! Schedules: each of their times starts an analysis of each repository of the project.

use crate::error::format_for_table;
use crate::{AnalysisStart, Context, Error, StartAnalysis, start_analysis};
use futures::future::join_all;
use pullyard_domain::delivery::Source;
use pullyard_domain::id::ProjectId;
use pullyard_domain::schedule::{Schedule, ScheduleCommand, ScheduleId, ScheduleSpec};
use pullyard_domain::text::to_sentence;
use pullyard_domain::time::Timestamp;
use pullyard_store::Write;

const MAX_REPOSITORIES: usize = 100;

/// More would compete for the project's budget.
const CONCURRENT_STARTS: usize = 4;

/// Creates a paused schedule, or changes when an existing one starts.
/// Writes: SCHEDULE.
/// Idempotent: a repeat stores the same.
/// Errors: `NotFound` (project); `Invalid`; `Contended`.
pub async fn put_schedule(ctx: &Context, id: &ScheduleId, spec: ScheduleSpec) -> Result<Schedule, Error> {
    ctx.load_project(&id.project).await?;
    let mut rounds = ctx.retries(id);
    loop {
        let now = ctx.clock.now();
        let found = ctx.store.load_schedule(id).await?.unwrap_or_else(|| Schedule::new(id.clone(), now));
        let schedule = found.set_spec(spec.clone(), now)?;
        if ctx.store.put_schedule(&schedule).await? == Write::Applied {
            return Ok(schedule);
        }
        rounds.backoff().await?;
    }
}

/// Resumes or pauses a schedule, or starts it now.
/// Writes: SCHEDULE; see `run_if_due`.
/// Idempotent: a repeat stores the same. It starts repositories whose analysis has ended.
/// Errors: `NotFound`; `Contended`.
pub async fn command_schedule(ctx: &Context, id: &ScheduleId, command: ScheduleCommand) -> Result<Schedule, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let schedule = load_schedule(ctx, id).await?.apply(command, ctx.clock.now())?;
        if ctx.store.put_schedule(&schedule).await? == Write::Applied {
            return Ok(run_if_due(ctx, id).await?.unwrap_or(schedule));
        }
        rounds.backoff().await?;
    }
}

/// Deletes a schedule; jobs that it started continue.
/// Writes: SCHEDULE deleted.
/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound`; `Contended`.
pub async fn delete_schedule(ctx: &Context, id: &ScheduleId) -> Result<Schedule, Error> {
    let schedule = load_schedule(ctx, id).await?;
    match ctx.store.delete_schedule(&schedule).await? {
        Write::Applied => Ok(schedule),
        Write::Stale => Err(Error::Contended { subject: id.to_string() }),
    }
}

/// Errors: `NotFound`.
pub async fn load_schedule(ctx: &Context, id: &ScheduleId) -> Result<Schedule, Error> {
    ctx.store.load_schedule(id).await?.ok_or_else(|| Error::not_found("schedule", &id.name))
}

/// Starts the due schedules of these projects, and returns them.
/// Writes and errors: see `run_if_due`.
/// Idempotent: a schedule is due once.
pub async fn run_due_schedules(ctx: &Context, projects: &[ProjectId]) -> Result<Vec<Schedule>, Error> {
    let mut ran = Vec::new();
    for project in projects {
        for schedule in ctx.store.list_schedules(project).await? {
            ran.extend(run_if_due(ctx, &schedule.id).await?);
        }
    }
    Ok(ran)
}

/// Starts a schedule's analyses. `None` if it is not due.
/// Writes: those of `start_analysis` for each repository, then SCHEDULE.
/// Idempotent: the due time identifies each start, until SCHEDULE has the next one.
/// Errors: `Contended`; a transient one of a start.
pub(crate) async fn run_if_due(ctx: &Context, id: &ScheduleId) -> Result<Option<Schedule>, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let now = ctx.clock.now();
        let Some(schedule) = ctx.store.load_schedule(id).await? else { return Ok(None) };
        let Some(due) = schedule.next.filter(|due| *due <= now) else { return Ok(None) };
        let (counts, refusal) = match schedule.is_in_time(due, now)? {
            true => start_all(ctx, id, due).await?,
            false => Default::default(),
        };
        let schedule = schedule.finish(counts, refusal, now)?;
        if ctx.store.put_schedule(&schedule).await? == Write::Applied {
            return Ok(Some(schedule));
        }
        rounds.backoff().await?;
    }
}

/// Returns how many analyses started and how many still ran, and the last refusal.
async fn start_all(ctx: &Context, id: &ScheduleId, due: Timestamp) -> Result<((u32, u32), Option<String>), Error> {
    let repositories = ctx.store.list_repositories(&id.project).await?;
    let starts = repositories.iter().take(MAX_REPOSITORIES).map(|repository| StartAnalysis {
        project: id.project.clone(),
        integration: repository.integration.clone(),
        repository: repository.id,
        what: None,
        request: format!("schedule/{}/{}", id.name, due.millis()),
        source: Source::Person,
    });
    let (mut started, mut running) = (0, 0);
    let mut refusal = "The project has no repository.".to_owned();
    for part in starts.collect::<Vec<_>>().chunks(CONCURRENT_STARTS) {
        for result in join_all(part.iter().map(|start| start_analysis(ctx, start))).await {
            match result {
                Ok(AnalysisStart::Created(_) | AnalysisStart::Repeated(_)) => started += 1,
                Ok(AnalysisStart::Running(_)) => running += 1,
                Ok(AnalysisStart::Refused { reason, .. }) => refusal = reason.sentence(),
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => refusal = to_sentence(&format_for_table(&error)),
            }
        }
    }
    Ok(((started, running), Some(refusal)))
}
