//! Loads the facts of a run's next move.

use super::group::load_group_facts;
use crate::facts::load_usage_today;
use crate::{Context, Error};
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::output::JobOutput;
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::run::{FrozenPlan, ReleaseBlock, Run, RunFacts, StepJob};
use pullyard_domain::time::Timestamp;
use std::collections::BTreeMap;

pub(super) struct LoadedFacts<'a> {
    /// `None`: the project was deleted, or the repository removed from it.
    pub(super) place: Option<(Project, Repository)>,
    /// `None`: it was deleted.
    pub(super) project: Option<Project>,
    /// The jobs of all open steps.
    pub(super) jobs: Vec<Job>,
    pub(super) run: RunFacts<'a>,
}

/// The run's project, and why it may start no job.
pub(super) async fn load_block(
    ctx: &Context,
    run: &Run,
    now: Timestamp,
) -> Result<(Option<Project>, Option<ReleaseBlock>), Error> {
    let project = ctx.store.load_project(&run.project).await?;
    let today = load_usage_today(ctx, project.as_ref(), now).await?;
    let settings = project.as_ref().map(|project| &project.settings);
    let budget = settings.map(|settings| settings.budget).filter(|budget| budget.has_limit());
    let block = match budget {
        _ if settings.is_none_or(|settings| settings.held_by.is_some()) => Some(ReleaseBlock::Held),
        Some(budget) if budget.remaining_jobs(&today) == 0 => Some(ReleaseBlock::Budget),
        _ => None,
    };
    Ok((project, block))
}

/// Errors: an unreadable job, because its step must not fail as if the job were lost.
pub(super) async fn load_facts<'a>(ctx: &Context, run: &Run, frozen: &'a FrozenPlan) -> Result<LoadedFacts<'a>, Error> {
    let (plan, now) = (&frozen.plan, ctx.clock.now());
    let ids: Vec<_> = run.open_jobs().cloned().collect();
    let jobs = ctx.store.load_each_job(&ids).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
    let (project, block) = load_block(ctx, run, now).await?;
    let first = &frozen.repository;
    let repository = ctx.store.load_repository(&run.project, &first.integration, first.id).await?;
    let mut step_jobs = BTreeMap::new();
    for job in &jobs {
        let step = job.step.as_ref().and_then(|step| run.find_step(&step.name));
        let keys = step.map(|step| step.keys(plan)).unwrap_or_default();
        let has_output = (keys.outcomes.is_some() || keys.spawn.is_some()) && job.status == JobStatus::Completed;
        let output = if has_output { ctx.store.load_output(&job.id).await? } else { None };
        let answer = output.and_then(JobOutput::into_answer).unwrap_or_default();
        let spawn_fault = project.as_ref().zip(repository.as_ref()).and_then(|(project, repository)| {
            let repository = repository.clone().resolve_agent(&project.settings);
            plan.find_spawn_fault(&answer.spawn, &project.settings, &repository)
        });
        step_jobs.insert(job.id.clone(), StepJob::new(job, answer, spawn_fault));
    }
    let has_budget = project.as_ref().is_some_and(|project| project.settings.budget.has_limit());
    // A write charges the budget for one job.
    let room = if has_budget { 1 } else { usize::MAX };
    let place = project.clone().zip(repository);
    let group = load_group_facts(ctx, run, plan, now).await?;
    Ok(LoadedFacts { place, project, jobs, run: RunFacts { plan, jobs: step_jobs, block, group, room, now } })
}
