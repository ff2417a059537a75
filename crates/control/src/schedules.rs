//! Schedules: each of their times starts an analysis of each repository of the project, or runs of a template.

mod template_runs;

use crate::corrupt::skip_corrupt;
use crate::error::format_for_table;
use crate::{Context, Error, StartAnalysis, start_analysis};
use futures::future::join_all;
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Source;
use pullyard_domain::id::{NoticeId, ProjectId, RunId};
use pullyard_domain::notice::{Notice, NoticeData, NoticeEvent};
use pullyard_domain::schedule::{Outcome, Schedule, ScheduleCommand, ScheduleId, ScheduleSpec, Starts};
use pullyard_domain::text::to_sentence;
use pullyard_domain::time::Timestamp;
use pullyard_store::Write;
use template_runs::{check_template, record_missed, start_runs};

/// How far the starts of a due time are.
enum Progress {
    /// SCHEDULE stores these runs before the first one starts. Otherwise a pause or crash would lose them, and the next
    /// due time would start further runs although these are open.
    Planned(Vec<RunId>),
    /// With a transient error of a start.
    Ended(Starts, Option<Error>),
}

const MAX_SCHEDULES: usize = 50;

const MAX_REPOSITORIES: usize = 100;

/// More would compete for the project's budget.
const CONCURRENT_STARTS: usize = 4;

/// Creates a paused schedule, or changes when an existing one starts.
/// Writes: SCHEDULE.
/// Idempotent: a repeat stores the same.
/// Errors: `NotFound` (project); `Invalid`, also for one schedule too many; `Contended`.
pub async fn put_schedule(ctx: &Context, id: &ScheduleId, spec: ScheduleSpec) -> Result<Schedule, Error> {
    ctx.load_project(&id.project).await?;
    let mut rounds = ctx.retries(id);
    loop {
        let now = ctx.clock.now();
        let found = ctx.store.load_schedule(id).await?.unwrap_or_else(|| Schedule::new(id.clone(), now));
        if found.rev == 0 && ctx.store.list_schedules(&id.project).await?.len() >= MAX_SCHEDULES {
            let fault = format!("delete another schedule: a project has at most {MAX_SCHEDULES}");
            return Err(Error::Invalid { pointer: "/name", fault });
        }
        // A repeat and other times need no template, which a user may have deleted.
        if !found.spec.has_same_action(&spec) {
            check_template(ctx, id, &spec).await?;
        }
        let schedule = found.set_spec(spec.clone(), now)?;
        if ctx.store.put_schedule(&schedule, None).await? == Write::Applied {
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
        if ctx.store.put_schedule(&schedule, None).await? == Write::Applied {
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
/// Writes: see `run_if_due`.
/// Idempotent: a schedule is due once.
/// Errors: the last one, after all schedules were tried.
pub async fn run_due_schedules(ctx: &Context, projects: &[ProjectId]) -> Result<Vec<Schedule>, Error> {
    let (mut ran, mut failure) = (Vec::new(), None);
    for project in projects {
        for schedule in ctx.store.list_schedules(project).await? {
            match run_if_due(ctx, &schedule.id).await {
                Ok(schedule) => ran.extend(schedule),
                Err(error) => failure = Some(error),
            }
        }
    }
    failure.map_or(Ok(ran), Err)
}

/// Starts a schedule's analyses or runs. `None` if it is not due.
/// Writes: SCHEDULE as begun, and with its runs; those of `start_analysis` for each repository or of `start_runs`; then
/// SCHEDULE, with NOTICE if failures pause it. DELIVERY for a missed time.
/// Idempotent: the due time identifies each start, until SCHEDULE has the next one.
/// Errors: `Contended`; a transient one of a start, after all repositories were tried, until the next due time.
pub(crate) async fn run_if_due(ctx: &Context, id: &ScheduleId) -> Result<Option<Schedule>, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let now = ctx.clock.now();
        let Some(schedule) = ctx.store.load_schedule(id).await? else { return Ok(None) };
        let Some(due) = schedule.next.filter(|_| schedule.is_due(now)) else { return Ok(None) };
        let (is_in_time, was_paused) = (schedule.is_in_time(now)?, schedule.paused);
        let schedule = if schedule.begun {
            let progress = match &schedule.spec.template {
                Some(template) => Box::pin(start_runs(ctx, &schedule, template, due)).await?,
                None => start_all(ctx, id, due).await?,
            };
            match progress {
                Progress::Planned(runs) => Schedule { runs, ..schedule },
                Progress::Ended(_, Some(error)) if !schedule.is_replaced(now) => return Err(error),
                // The next due time is now.
                Progress::Ended(starts, Some(_)) => schedule.finish(Outcome::Ran(starts), due)?,
                Progress::Ended(starts, None) => schedule.finish(Outcome::Ran(starts), now)?,
            }
        } else if is_in_time {
            Schedule { begun: true, ..schedule }
        } else {
            let schedule = schedule.finish(Outcome::Missed, now)?;
            let latest = schedule.last.as_ref().map_or(due, |last| last.at);
            Box::pin(record_missed(ctx, id, due, latest)).await?;
            schedule
        };
        let notice = if was_paused { None } else { Box::pin(notice_of_pause(ctx, &schedule)).await? };
        if ctx.store.put_schedule(&schedule, notice.as_ref()).await? == Write::Stale {
            rounds.backoff().await?;
        } else if !schedule.begun {
            if let Some(notice) = &notice {
                ctx.send_hints(ctx.wake_notice(notice)).await;
            }
            tracing::info!(schedule = %id, next = ?schedule.next, result = schedule.result(), "schedule ran");
            return Ok(Some(schedule));
        }
    }
}

/// The notice of a schedule that failures pause, for the write that pauses it. It does not quote the refusal, which may
/// contain text of users.
async fn notice_of_pause(ctx: &Context, schedule: &Schedule) -> Result<Option<Notice>, Error> {
    if !schedule.is_failed() {
        return Ok(None);
    }
    let ScheduleId { project, name } = &schedule.id;
    // A project that this version cannot parse must not keep the schedule due.
    let stored = skip_corrupt(ctx, ctx.store.load_project(project).await)?.flatten();
    let endpoints = stored.map(|project| project.settings.notifications).unwrap_or_default();
    let sentence = format!("The schedule {name} was paused after {} failures in a row.", schedule.failures);
    let help = format!(
        "`pullyard schedules show {name} --project {project}` shows the cause; correct it, then `pullyard schedules \
         resume {name} --project {project}`."
    );
    let url = format!("{}/setup/schedules?project={project}", ctx.pages_url());
    let data = NoticeData { schedule: Some(name.clone()), ..NoticeData::new(project.clone(), &sentence, &help, url) };
    Ok(Notice::new(NoticeId::for_schedule(schedule), NoticeEvent::SchedulePaused, data, &endpoints, ctx.clock.now()))
}

/// Counts the repositories beyond the limit as refused.
fn new_starts(repositories: usize) -> Starts {
    let refused = u32::try_from(repositories.saturating_sub(MAX_REPOSITORIES)).unwrap_or(u32::MAX);
    let refusal = match refused {
        0 => "The project has no repository.".into(),
        _ => format!("A schedule serves at most {MAX_REPOSITORIES} repositories."),
    };
    Starts { refused, refusal, ..Starts::default() }
}

async fn start_all(ctx: &Context, id: &ScheduleId, due: Timestamp) -> Result<Progress, Error> {
    let repositories = ctx.store.list_repositories(&id.project).await?;
    let mut starts = new_starts(repositories.len());
    let requests = repositories.iter().take(MAX_REPOSITORIES).map(|repository| StartAnalysis {
        project: id.project.clone(),
        integration: repository.integration.clone(),
        repository: repository.id,
        what: None,
        request: format!("schedule/{}/{}", id.name, due.millis()),
        source: Source::Schedule,
        retry_of: None,
    });
    let mut failure = None;
    for part in requests.collect::<Vec<_>>().chunks(CONCURRENT_STARTS) {
        for (request, result) in part.iter().zip(join_all(part.iter().map(|part| start_analysis(ctx, part))).await) {
            let refusal = match result.map(|answer| answer.reason) {
                Ok(Reason::Accepted { .. } | Reason::Repeat { .. }) => {
                    starts.started += 1;
                    continue;
                }
                Ok(Reason::AnalysisRunning { .. }) => {
                    starts.running += 1;
                    continue;
                }
                Ok(reason) => reason.sentence(),
                Err(error) => {
                    tracing::warn!(schedule = %id, repository = request.repository, %error, "analysis not started");
                    let refusal = to_sentence(&format_for_table(&error));
                    failure = failure.or(error.is_transient().then_some(error));
                    refusal
                }
            };
            starts.refused += 1;
            starts.refusal = refusal;
        }
    }
    Ok(Progress::Ended(starts, failure))
}
