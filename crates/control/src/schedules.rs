//! Schedules: each of their times starts an analysis of each repository of the project, or runs of a template.

use crate::corrupt::skip_corrupt;
use crate::error::format_for_table;
use crate::templates::{Start, refusal, start};
use crate::{Context, Error, StartAnalysis, start_analysis};
use futures::future::join_all;
use pullyard_domain::project::schedule::{Outcome, Schedule, ScheduleCommand, ScheduleId, ScheduleSpec, Starts};
use pullyard_domain::project::template::{StartedBy, TemplateId};
use pullyard_domain::review::delivery::{Delivery, Source};
use pullyard_domain::run::notice::{Notice, NoticeData, NoticeEvent};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, EventId, NoticeId, ProjectId, RepositoryName, RunId, TemplateName};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::text::to_sentence;
use pullyard_store::Write;

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

/// The values of parameters, which each write and each list of schedules contains.
const MAX_VALUES_BYTES: usize = 8 * 1024;

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
/// Errors: the last one, after the schedules of all projects were tried.
pub async fn run_due_schedules(ctx: &Context, projects: &[ProjectId]) -> Result<Vec<Schedule>, Error> {
    let (mut ran, mut failure) = (Vec::new(), None);
    for project in projects {
        let schedules = match ctx.store.list_schedules(project).await {
            Ok(schedules) => schedules,
            Err(error) => {
                failure = Some(error.into());
                continue;
            }
        };
        for schedule in schedules {
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
        if let Some(next) = schedule.after_clock_was_set_back(now)? {
            tracing::warn!(schedule = %id, next = ?next.next, "the clock was set back: schedule planned again");
            if ctx.store.put_schedule(&next, None).await? == Write::Stale {
                rounds.backoff().await?;
            }
            continue;
        }
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
            let missed = Reason::ScheduleMissed { schedule: id.name.clone(), time: latest };
            Box::pin(record(ctx, id, &format!("{} {}", id.name, due.millis()), missed)).await?;
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
    let id = NoticeId::for_schedule(&schedule.id, schedule.created, schedule.rev);
    Ok(Notice::new(id, NoticeEvent::SchedulePaused, data, &endpoints, ctx.clock.now()))
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

/// Errors: `Invalid` for a missing template, for a template that schedules may not start, and for faulty parameters.
async fn check_template(ctx: &Context, id: &ScheduleId, spec: &ScheduleSpec) -> Result<(), Error> {
    let Some(name) = spec.template.clone() else { return Ok(()) };
    let invalid = |pointer, fault: String| Error::Invalid { pointer, fault };
    let id = TemplateId { project: id.project.clone(), name };
    let template = ctx.store.load_template(&id).await?;
    let template = template.ok_or_else(|| invalid("/template", format!("there is no template {}", id.name)))?;
    let mut plan = template.parse().map_err(|fault| invalid("/template", fault.fault))?;
    if !plan.allows(StartedBy::Schedule) {
        return Err(invalid("/template", format!("add schedule to the `started_by` of {}", id.name)));
    }
    let mut params = spec.params.clone();
    if params.values().map(String::len).sum::<usize>() > MAX_VALUES_BYTES {
        return Err(invalid("/params", "use at most 8 KiB of values".into()));
    }
    if let Some(name) = plan.repository_parameter().filter(|_| spec.each_repository)
        && params.insert(name.clone(), "owner/name".into()).is_some()
    {
        return Err(invalid("/params", format!("/{name}: each start sets it, so leave it out")));
    }
    plan.fill_parameters(&params).map(drop).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.fault)).collect();
        invalid("/params", faults.join("; "))
    })
}

/// Starts the planned run, or one in each repository, unless a run of the last start is open.
/// Writes: RUN and PLAN of each run, if absent; DELIVERY for each answer.
/// Idempotent: by the due time and the repository.
async fn start_runs(
    ctx: &Context,
    schedule: &Schedule,
    template: &TemplateName,
    due: Timestamp,
) -> Result<Progress, Error> {
    let id = &schedule.id;
    let repositories: Vec<Option<RepositoryName>> = match schedule.spec.each_repository {
        true => ctx.store.list_repositories(&id.project).await?.into_iter().map(|it| Some(it.name)).collect(),
        false => vec![None],
    };
    let mut starts = Starts { runs: true, ..new_starts(repositories.len()) };
    let to_request = |repository: Option<RepositoryName>| Start {
        project: &id.project,
        template,
        kind: StartedBy::Schedule,
        params: schedule.spec.params.clone(),
        key: format!("{} {} {}", id.name, due.millis(), repository.as_ref().map_or("", RepositoryName::as_str)),
        repository,
        by: format!("schedule {}", id.name),
    };
    let mut requests: Vec<_> = repositories.into_iter().take(MAX_REPOSITORIES).map(to_request).collect();
    let own: Vec<RunId> = requests.iter().map(Start::run_id).collect();
    if own != schedule.runs && !own.iter().any(|run| schedule.runs.contains(run)) {
        let mut open = ctx.store.load_runs(&schedule.runs).await?;
        open.retain(|run| run.ended_at.is_none());
        let Some(run) = open.first() else { return Ok(Progress::Planned(own)) };
        let reason = Reason::ScheduleBusy { schedule: id.name.clone(), run: run.id.clone() };
        record(ctx, id, &format!("{} {}", id.name, due.millis()), reason).await?;
        let running = u32::try_from(open.len()).unwrap_or(u32::MAX);
        return Ok(Progress::Ended(Starts { running, runs: true, ..Starts::default() }, None));
    }
    // Without repositories that were added since.
    requests.retain(|request| schedule.runs.contains(&request.run_id()));
    let mut failure = None;
    for request in requests {
        let key = request.key.clone();
        let reason = match start(ctx, request).await {
            Ok(Ok(run)) => {
                starts.started += 1;
                Reason::RunStarted { run }
            }
            Ok(Err(fault)) => refusal(template, &fault),
            Err(error) => {
                tracing::warn!(schedule = %id, %error, "run not started");
                (starts.refused, starts.refusal) = (starts.refused + 1, to_sentence(&format_for_table(&error)));
                failure = failure.or(error.is_transient().then_some(error));
                continue;
            }
        };
        if !matches!(reason, Reason::RunStarted { .. }) {
            (starts.refused, starts.refusal) = (starts.refused + 1, reason.sentence());
        }
        record(ctx, id, &key, reason).await?;
    }
    Ok(Progress::Ended(starts, failure))
}

/// Writes: DELIVERY.
/// Idempotent: by the key.
async fn record(ctx: &Context, schedule: &ScheduleId, key: &str, reason: Reason) -> Result<(), Error> {
    let id = DeliveryId::for_start(&schedule.project, "schedule", key);
    let (now, event) = (ctx.clock.now(), EventId::new(schedule.name.as_str())?);
    ctx.counters().count_decision(&reason);
    let delivery = Delivery::new(id, schedule.project.clone(), Source::Schedule, event, now, reason.clipped());
    ctx.store.record_delivery(&delivery).await?;
    Ok(())
}
