//! Runs of plans: submission, orders of users, and the moves of a run.

pub(crate) mod advance;
mod facts;
mod group;
pub(crate) mod order;
pub(crate) mod pull_request;
mod step_job;
pub(crate) mod submit;

use crate::corrupt::skip_corrupt_items;
use crate::{Context, Error};
use facts::load_block;
use group::load_group_facts;
use pullyard_domain::run::{FrozenPlan, Run, RunFacts, RunStep, StepWait};
use pullyard_domain::text::id::{ProjectId, RunId};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct RunView {
    pub run: Run,
    pub frozen: FrozenPlan,
    /// For each step the first thing that it waits for. `None`: it has ended, or its job explains the wait.
    pub waits: Vec<Option<StepWait>>,
}

/// Errors: `NotFound`.
pub async fn load_run(ctx: &Context, id: &RunId) -> Result<Run, Error> {
    ctx.store.load_run(id).await?.ok_or_else(|| Error::not_found("run", id.short()))
}

/// Errors: `NotFound`.
pub async fn load_plan(ctx: &Context, id: &RunId) -> Result<FrozenPlan, Error> {
    ctx.store.load_plan(id).await?.ok_or_else(|| Error::not_found("run", id.short()))
}

/// Errors: `NotFound`.
fn find_step<'a>(run: &'a Run, name: &str) -> Result<&'a RunStep, Error> {
    run.find_step(name).ok_or_else(|| Error::not_found("step", name))
}

/// The readable runs of a project, newest first, and the cursor of the next page.
/// Errors: `BadCursor` for a cursor that this version did not issue.
pub async fn list_runs(
    ctx: &Context,
    project: &ProjectId,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Run>, Option<String>), Error> {
    let (runs, next) = ctx.store.list_runs(project, after, limit).await?;
    Ok((skip_corrupt_items(ctx, runs)?, next))
}

/// Errors: `NotFound`.
pub async fn show_run(ctx: &Context, id: &RunId) -> Result<RunView, Error> {
    let (run, frozen) = (load_run(ctx, id).await?, load_plan(ctx, id).await?);
    let now = ctx.clock.now();
    let (_, block) = load_block(ctx, &run, now).await?;
    // The waits of steps do not depend on the jobs, one of which may be unreadable.
    let group = load_group_facts(ctx, &run, &frozen.plan, now).await?;
    let jobs = BTreeMap::new();
    let facts = RunFacts { plan: &frozen.plan, jobs, block, group, room: usize::MAX, now };
    let waits = run.steps.iter().map(|step| run.step_wait(&step.name, &facts)).collect();
    Ok(RunView { run, frozen, waits })
}
