//! Loads the facts of a run's next move.

use super::group::load_group_facts;
use crate::facts::load_usage_today;
use crate::{Context, Error};
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::run::{FrozenPlan, ReleaseBlock, Run, RunFacts, StepJob};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::guard::project_block;
use std::collections::BTreeMap;

pub(super) struct LoadedFacts<'a> {
    /// `None`: it was removed.
    pub(super) project: Option<Project>,
    pub(super) repository: Option<Repository>,
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
    let block = project.as_ref().map_or(Some(ReleaseBlock::Held), |project| match project_block(project, &today) {
        Some(Reason::ProjectHeld { .. }) => Some(ReleaseBlock::Held),
        refusal => refusal.map(|_| ReleaseBlock::Budget),
    });
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
    let group = load_group_facts(ctx, run, plan, now).await?;
    Ok(LoadedFacts { project, repository, jobs, run: RunFacts { plan, jobs: step_jobs, block, group, room, now } })
}
