//! Holds and releases a project. A held project starts no jobs, and its ticket entries wait.

use crate::admin::update_project::update_project;
use crate::facts::load_usage_today;
use crate::hints::HintOutcome;
use crate::{Context, Error};
use pullyard_domain::project::budget::DailyUsage;
use pullyard_domain::project::{Project, Settings};
use pullyard_domain::text::id::ProjectId;
use pullyard_store::WorkKey;
use std::time::Duration;

/// Limit of tickets woken at once, oldest entry first. The sweeper wakes more a minute later.
const MAX_WAKES: i32 = 100;

/// Time limit for waking tickets. If the queue is unreachable, each message takes seconds.
pub(crate) const WAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// Writes: PROJECT if `rev` is unchanged.
/// Idempotent: a held project keeps the first requester's name and reason.
/// Errors: `NotFound`; `Invalid`; `Contended`.
pub async fn hold_project(ctx: &Context, id: &ProjectId, by: &str, reason: &str) -> Result<Project, Error> {
    update_settings(ctx, id, |settings| settings.hold(by, reason)).await
}

/// Writes: PROJECT if `rev` is unchanged; then hints, which the sweeper repeats if they are lost.
/// Idempotent: a project that is not held does not change.
/// Errors: `NotFound`; `Contended`.
pub async fn release_project(ctx: &Context, id: &ProjectId) -> Result<Project, Error> {
    let released = update_settings(ctx, id, Settings::release).await?;
    wake_held_tickets(ctx, &released).await;
    Ok(released)
}

pub async fn load_budget(ctx: &Context, id: &ProjectId) -> Result<(Project, DailyUsage), Error> {
    let project = ctx.load_project(id).await?;
    let today = load_usage_today(ctx, Some(&project), ctx.clock.now()).await?;
    Ok((project, today))
}

async fn update_settings(ctx: &Context, id: &ProjectId, edit: impl Fn(Settings) -> Settings) -> Result<Project, Error> {
    let apply = |project: Project| {
        let settings = edit(project.settings.clone());
        settings.validate()?;
        Ok(Project { settings, ..project })
    };
    let project = update_project(ctx, id, apply).await?;
    tracing::info!(project = %id, held = project.settings.held_by.is_some(), "project hold changed");
    Ok(project)
}

pub(crate) async fn wake_held_tickets(ctx: &Context, project: &Project) {
    ctx.send_hints(async {
        if let Err(error) = wake_within_budget(ctx, project).await {
            tracing::warn!(project = %project.id, error = %error, "held entries not started; the sweeper will start them");
        }
    })
    .await;
}

/// Wakes tickets and runs that wait for this project, unless it is held. Returns their number.
pub(crate) async fn wake_within_budget(ctx: &Context, project: &Project) -> Result<u32, Error> {
    if project.settings.held_by.is_some() {
        return Ok(0);
    }
    let waiting = ctx.store.list_held(&project.id, MAX_WAKES).await?;
    if waiting.is_empty() {
        return Ok(0);
    }
    // Wake only as many as the budget allows, so that the oldest entries get it.
    let usage = load_usage_today(ctx, Some(project), ctx.clock.now()).await?;
    let limit = usize::try_from(project.settings.budget.remaining_jobs(&usage)).unwrap_or(usize::MAX);
    let (mut woken, start) = (0, ctx.clock.monotonic());
    for key in waiting.into_iter().take(limit) {
        if ctx.clock.monotonic().saturating_sub(start) >= WAKE_TIMEOUT {
            break;
        }
        let outcome = match key {
            WorkKey::Ticket(project, ticket) => ctx.wake_ticket(&project, &ticket).await,
            WorkKey::Run(run) => ctx.wake_run(&run).await,
            _ => continue,
        };
        woken += u32::from(outcome == HintOutcome::Sent);
    }
    Ok(woken)
}
