//! Plans the job of a step, like the job of a request for a prompt.

use crate::jobs::new_job::{NewJob, plan_new_job};
use crate::{Context, Error};
use pullyard_domain::job::{Job, JobKind};
use pullyard_domain::output::JobOutput;
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::published::short_commit;
use pullyard_domain::run::{FrozenPlan, Run, RunStep, StepJobPlan};
use pullyard_domain::text::format_count;
use pullyard_domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Writes: the context and the class, which stay unused if the job is not created.
pub(super) async fn plan_step_job(
    ctx: &Context,
    (project, repository): (&Project, &Repository),
    frozen: &FrozenPlan,
    (run, planned): (&Run, &StepJobPlan),
    now: Timestamp,
) -> Result<Job, Error> {
    let step = frozen.plan.find_step(&planned.step);
    let step = step.ok_or_else(|| Error::Inconsistent(format!("{} has no step {}", run.id, planned.step)))?;
    let keys = frozen.plan.resolve(step);
    let repository = repository.clone().resolve_agent(&project.settings);
    let (settings, repository) = keys.apply(&project.settings, &repository).map_err(Error::Inconsistent)?;
    let retry_of = match &planned.previous {
        Some(previous) => ctx.store.load_job(previous).await?,
        None => None,
    };
    let mut summaries = BTreeMap::new();
    for need in step.needs.iter().filter_map(|name| run.find_step(name)) {
        summaries.insert(need.name.as_str(), load_summary(ctx, need).await?);
    }
    let context = frozen.step_context(run, step, |need| summaries.get(need.name.as_str()).cloned().flatten());
    let new = NewJob {
        id: planned.id.clone(),
        kind: JobKind::of_step(&keys),
        project: &Project { settings, ..project.clone() },
        repository: &repository,
        ticket: None,
        instructions: step.prompt.clone(),
        reviews: None,
        analysis: None,
        step: Some((run, &planned.step, context)),
        base: Some(frozen.base.clone()),
        labels: BTreeSet::new(),
        priority: frozen.plan.priority,
        retry_of: retry_of.as_ref(),
        now,
    };
    plan_new_job(ctx, new).await
}

/// The answer of a step that read, or the commit of one that wrote.
async fn load_summary(ctx: &Context, step: &RunStep) -> Result<Option<String>, Error> {
    let Some(id) = &step.job else { return Ok(None) };
    match ctx.store.load_output(id).await? {
        Some(JobOutput::Read(answer)) => return Ok(Some(answer.text)),
        Some(JobOutput::Review(_) | JobOutput::Analysis(_)) | None => {}
    }
    let result = ctx.store.load_job(id).await?.and_then(|job| job.result);
    Ok(result.map(|result| {
        let (commit, files) = (short_commit(&result.head), format_count(result.files, "file"));
        format!("Commit {commit}: {files} changed, {} lines added, {} removed.", result.insertions, result.deletions)
    }))
}
