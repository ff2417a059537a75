//! Connects ticket tools, tests them, and chooses the tool of a project.

pub(crate) mod add;
pub(crate) mod choose;
pub(crate) mod client;
pub(crate) mod deliveries;
pub(crate) mod issues;
pub(crate) mod look;
pub(crate) mod signed_events;
pub(crate) mod tool;

use crate::admin::projects::load_readable_projects;
use crate::corrupt::{skip_corrupt, skip_corrupt_items};
use crate::poll::tool_poll::TOOL;
use crate::{Context, Error};
use pullyard_domain::denial::Denial;
use pullyard_domain::id::{IntegrationId, ProjectId, TicketKey};
use pullyard_domain::project::Project;
use pullyard_domain::ticket::SyncFault;
use pullyard_domain::tracker::Tracker;
use pullyard_store::Write;
use tool::record_test;

/// Errors: `NotFound`.
pub async fn load_tracker(ctx: &Context, id: &IntegrationId) -> Result<Tracker, Error> {
    ctx.store.load_tracker(id).await?.ok_or_else(|| Error::not_found("ticket tool", id))
}

/// `None` also for a connection that a newer version made.
pub(crate) async fn load_readable_tracker(ctx: &Context, id: &IntegrationId) -> Result<Option<Tracker>, Error> {
    Ok(skip_corrupt(ctx, ctx.store.load_tracker(id).await)?.flatten())
}

/// A connection with its problem, or with that of a project's poll.
/// Errors: `NotFound`.
pub async fn show_tracker(ctx: &Context, id: &IntegrationId) -> Result<Tracker, Error> {
    let found = list_trackers(ctx).await?.into_iter().find(|found| found.id == *id);
    found.ok_or_else(|| Error::not_found("ticket tool", id))
}

/// The connections that this version can parse, by name, each as above.
pub async fn list_trackers(ctx: &Context) -> Result<Vec<Tracker>, Error> {
    let mut found = skip_corrupt_items(ctx, ctx.store.list_trackers().await?)?;
    // Another project's calls may succeed while the poll of a deleted project or team fails.
    for Project { id, settings, .. } in load_all_projects(ctx).await? {
        let Some(tool) = settings.tracker else { continue };
        for shown in found.iter_mut().filter(|found| found.id == tool.connection && found.problem.is_none()) {
            let poll = skip_corrupt(ctx, ctx.store.load_poll(&id, &shown.id, TOOL).await)?.flatten();
            let problem = poll.and_then(|poll| poll.look.problem);
            shown.problem = problem.map(|problem| format!("the poll for {id} fails: {problem}"));
        }
    }
    Ok(found)
}

/// The projects that this version can parse.
pub(crate) async fn load_all_projects(ctx: &Context) -> Result<Vec<Project>, Error> {
    load_readable_projects(ctx, &ctx.store.list_all_project_ids().await?).await
}

/// Calls the tool without changing anything there, even while the connection rests.
/// Writes: the connection's health.
/// Errors: `NotFound`.
pub async fn test_tracker(ctx: &Context, id: &IntegrationId) -> Result<Tracker, Error> {
    let mut connection = load_tracker(ctx, id).await?;
    let result = tool::test(ctx, &connection).await;
    // The credential may be another account's since the connection.
    if let Ok(Some(account)) = &result
        && connection.account.as_ref() != Some(account)
    {
        connection.account = Some(account.clone());
        ctx.store.put_tracker(&connection).await?;
        connection = load_tracker(ctx, id).await?;
    }
    record_test(ctx, &connection, result.as_ref().err()).await?;
    let problem = result.err().map(|failure| failure.error.to_string());
    Ok(Tracker { problem, ..load_tracker(ctx, id).await? })
}

/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound`; `Contended`; `Denied` while a project uses it.
pub async fn delete_tracker(ctx: &Context, id: &IntegrationId) -> Result<Tracker, Error> {
    let tracker = load_tracker(ctx, id).await?;
    for project in ctx.store.list_all_project_ids().await? {
        let project = ctx.store.load_project(&project).await?;
        let uses_it = |project: &Project| project.settings.tracker.as_ref().is_some_and(|tool| tool.connection == *id);
        if let Some(project) = project.filter(uses_it) {
            return Err(Error::Denied(Denial::TrackerOfProject { tracker: id.clone(), project: project.id }));
        }
    }
    match ctx.store.delete_tracker(&tracker).await? {
        Write::Applied => Ok(tracker),
        Write::Stale => Err(Error::Contended { subject: id.to_string() }),
    }
}

/// Repeats a failed write to the ticket's tool now, and reads the ticket there.
/// Writes: the ticket, if a write has failed.
/// Errors: `NotFound`; `Contended`.
pub async fn sync_ticket(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<(), Error> {
    let mut rounds = ctx.retries(key);
    loop {
        let mut ticket = ctx.load_ticket(project, key).await?;
        let now = ctx.clock.now();
        let is_postponed = |fault: &&mut SyncFault| fault.after > now;
        if let Some(fault) = ticket.sync_fault.as_mut().filter(is_postponed) {
            fault.after = now;
            if ctx.store.update_ticket(&ticket).await? == Write::Stale {
                rounds.backoff().await?;
                continue;
            }
        }
        ctx.wake_ticket(project, key).await;
        let Some(tool) = ctx.load_project(project).await?.settings.tracker else { return Ok(()) };
        let connection = ctx.store.load_tracker(&tool.connection).await?;
        let is_readable = connection.is_some_and(|connection| connection.kind.is_readable());
        return if is_readable { ctx.wake_look(project, key).await } else { Ok(()) };
    }
}
