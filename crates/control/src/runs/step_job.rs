//! Plans the job of a step, like the job of a request for a prompt.

use crate::jobs::new_job::{NewJob, plan_new_job};
use crate::{Context, Error};
use pullyard_domain::job::{Job, JobKind, JobStatus};
use pullyard_domain::project::plan::PlanStep;
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::review::published::short_commit;
use pullyard_domain::run::{FrozenPlan, PatchSource, Run, RunStep, StepJobPlan, StepResult};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::format_count;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;

/// The inner `Err` is the reason why the project's present settings refuse the step.
/// Writes: the context and the class, which stay unused if the job is not created.
pub(super) async fn plan_step_job(
    ctx: &Context,
    (project, repository): (&Project, &Repository),
    frozen: &FrozenPlan,
    (run, planned): (&Run, &StepJobPlan),
    now: Timestamp,
) -> Result<Result<Job, String>, Error> {
    let of = run.find_step(&planned.step);
    let of = of.ok_or_else(|| Error::Inconsistent(format!("{} has no step {}", run.id, planned.step)))?;
    let step = load_step(ctx, frozen, of).await?;
    let keys = of.resolve(&frozen.plan, &step);
    let repository = repository.clone().resolve_agent(&project.settings);
    let (settings, repository) = match keys.apply(&project.settings, &repository) {
        Ok(applied) => applied,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let retry_of = match &planned.previous {
        // The next turn of a manager is other work than the last one.
        Some(previous) => ctx.store.load_job(previous).await?.filter(|job| job.status != JobStatus::Completed),
        None => None,
    };
    let last_turn = run.added_in_last_turn(of).into_iter().find_map(|added| Some(added.spawned.as_ref()?.job.clone()));
    let mut inputs = Vec::new();
    for need in run.inputs_of(&frozen.plan, of) {
        let job = if need.name == of.name { last_turn.as_ref() } else { need.job.as_ref() };
        inputs.push((need, load_result(ctx, job).await?));
    }
    let mut context = frozen.step_context(run, (of, &step), inputs);
    // An earlier job has pushed the change, so the tree may stay unchanged.
    let is_pushed = retry_of.as_ref().is_some_and(|job| {
        job.failure == Some(Failure::OutputLost {}) || job.step.as_ref().is_some_and(|step| step.may_change_nothing)
    });
    context.may_change_nothing |= is_pushed && context.own_branch.is_none();
    let project = Project { settings, ..project.clone() };
    let new = NewJob {
        instructions: step.prompt.clone(),
        step: Some((run, &planned.step, context)),
        base: Some(frozen.base.clone()),
        priority: frozen.plan.priority,
        retry_of: retry_of.as_ref(),
        ..NewJob::new(planned.id.clone(), JobKind::of_step(&keys), (&project, &repository), now)
    };
    plan_new_job(ctx, new).await.map(Ok)
}

/// Loads the step from the plan, or from the output of the manager that added it.
async fn load_step(ctx: &Context, frozen: &FrozenPlan, of: &RunStep) -> Result<PlanStep, Error> {
    let missing = || Error::Inconsistent(format!("the step {} is neither in the plan nor in an output", of.name));
    let Some(spawned) = &of.spawned else { return frozen.plan.find_step(&of.name).cloned().ok_or_else(missing) };
    let output = ctx.store.load_output(&spawned.job).await?;
    let list = output.and_then(JobOutput::into_answer).unwrap_or_default().spawn;
    let (_, name) = of.name.split_once('/').ok_or_else(missing)?;
    list.iter().find(|request| request.name == name).map(|request| request.as_step(&frozen.plan)).ok_or_else(missing)
}

/// The answer of a job, or its commit.
async fn load_result(ctx: &Context, job: Option<&JobId>) -> Result<StepResult, Error> {
    let Some(id) = job else { return Ok(StepResult::default()) };
    let answer = ctx.store.load_output(id).await?.and_then(JobOutput::into_answer);
    let (result, pushed) = ctx.store.load_job(id).await?.map(|job| (job.result, job.pushed)).unwrap_or_default();
    let describe = |head: &str, files: u32, insertions: u32, deletions: u32| {
        let (commit, files) = (short_commit(head), format_count(files, "file"));
        format!("Commit {commit}: {files} changed, {insertions} lines added, {deletions} removed.")
    };
    let of_result = result.map(|it| describe(&it.head, it.files, it.insertions, it.deletions));
    let of_branch = || pushed.as_ref().map(|it| describe(&it.head, it.files, it.insertions, it.deletions));
    let summary = answer.map(|answer| answer.text).or(of_result).or_else(of_branch);
    let patch = pushed.map(|pushed| PatchSource { branch: pushed.branch, head: pushed.head });
    Ok(StepResult { summary, patch })
}
