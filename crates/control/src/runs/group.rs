//! Loads the group of a run, and wakes the runs that get its free places.

use crate::{Context, Error};
use pullyard_domain::project::plan::Plan;
use pullyard_domain::run::{Group, GroupFacts, MAX_WAITING_RUNS, Run, RunState, RunWant};
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::time::Timestamp;

/// Each start and each end of a run writes its group.
pub(super) const MAX_ROUNDS: u32 = 20;

async fn load_group(ctx: &Context, run: &Run, name: &str, now: Timestamp) -> Result<Group, Error> {
    let group = ctx.store.load_group(&run.project, name).await?;
    Ok(group.unwrap_or_else(|| Group::new(run.project.clone(), name.to_owned(), now)))
}

/// `None` without a group. The states of other runs are read only for a run that waits.
pub(super) async fn load_group_facts(
    ctx: &Context,
    run: &Run,
    plan: &Plan,
    now: Timestamp,
) -> Result<Option<GroupFacts>, Error> {
    let Some(rule) = &plan.concurrency else { return Ok(None) };
    // The runs are read after the group: the write then refuses a place that another one got since.
    let group = load_group(ctx, run, &rule.group, now).await?;
    let waits = run.state == RunState::Running && run.want == RunWant::Run && !run.has_place();
    let mut asked = if waits { group.first_runs(rule.limit()) } else { Vec::new() };
    let runs = match ctx.store.load_runs(&asked).await {
        // Only a newer program knows the state of an unreadable run. All listed runs then count as working.
        Err(error) if !error.is_transient() => {
            tracing::warn!(run = %run.id, "run of its group unreadable: {error}");
            asked.clear();
            Vec::new()
        }
        runs => runs?,
    };
    Ok(Some(GroupFacts::new(group, &asked, &runs)))
}

/// The group in which a new run waits.
/// Errors: `Denied` if too many wait.
pub(super) async fn join_group(ctx: &Context, run: &Run, plan: &Plan) -> Result<Option<Group>, Error> {
    let Some(rule) = &plan.concurrency else { return Ok(None) };
    let joined = load_group(ctx, run, &rule.group, run.since).await?.with_waiting(run, plan);
    let n = u64::try_from(MAX_WAITING_RUNS).unwrap_or_default();
    joined.map(Some).ok_or_else(|| Error::Denied(Denial::GroupFull { n, group: rule.group.clone() }))
}

/// Sends hints for the runs that may take a place after a change.
pub(super) async fn wake_next_runs(ctx: &Context, group: &Group, plan: &Plan) {
    let limit = plan.concurrency.as_ref().map_or(0, |rule| rule.limit());
    ctx.send_hints(async {
        for run in group.next_runs(limit) {
            ctx.wake_run(&run).await;
        }
    })
    .await;
}
