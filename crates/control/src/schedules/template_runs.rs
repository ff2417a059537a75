//! The runs of a template that a schedule starts.

use super::{MAX_REPOSITORIES, Progress, new_starts};
use crate::error::format_for_table;
use crate::templates::{Start, refusal, start};
use crate::{Context, Error};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::{Delivery, Source};
use pullyard_domain::id::{DeliveryId, EventId, RepositoryName, RunId, TemplateName};
use pullyard_domain::schedule::{Schedule, ScheduleId, ScheduleSpec, Starts};
use pullyard_domain::template::{StartedBy, TemplateId};
use pullyard_domain::text::to_sentence;
use pullyard_domain::time::Timestamp;

/// Each write and each list of schedules contains them.
const MAX_VALUES_BYTES: usize = 8 * 1024;

/// Errors: `Invalid` for a missing template, one that schedules may not start, or faulty parameters.
pub(super) async fn check_template(ctx: &Context, id: &ScheduleId, spec: &ScheduleSpec) -> Result<(), Error> {
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
pub(super) async fn start_runs(
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
        let open = find_open(ctx, &schedule.runs).await?;
        let Some(run) = open.first() else { return Ok(Progress::Planned(own)) };
        let reason = Reason::ScheduleBusy { schedule: id.name.clone(), run: run.clone() };
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

async fn find_open(ctx: &Context, runs: &[RunId]) -> Result<Vec<RunId>, Error> {
    let mut open = Vec::new();
    for id in runs {
        let run = ctx.store.load_run(id).await?;
        open.extend(run.filter(|run| run.ended_at.is_none()).map(|run| run.id));
    }
    Ok(open)
}

/// Writes: DELIVERY.
/// Idempotent: by the key.
pub(super) async fn record(ctx: &Context, schedule: &ScheduleId, key: &str, reason: Reason) -> Result<(), Error> {
    let id = DeliveryId::for_start(&schedule.project, "schedule", key);
    let (now, event) = (ctx.clock.now(), EventId::new(schedule.name.as_str())?);
    ctx.counters().count_decision(&reason);
    let delivery = Delivery::new(id, schedule.project.clone(), Source::Schedule, event, now, reason.clipped());
    ctx.store.record_delivery(&delivery).await?;
    Ok(())
}
