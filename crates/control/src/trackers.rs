//! Connects ticket tools, tests them, and chooses the tool of a project.

pub(crate) mod add;
pub(crate) mod call_error;
pub(crate) mod choose;
pub(crate) mod client;
pub(crate) mod deliveries;
pub(crate) mod issues;
pub(crate) mod look;
pub(crate) mod signed_events;
pub(crate) mod tool;

use crate::admin::secrets::{delete_value, list_secret_users};
use crate::corrupt::{load_all_projects, skip_corrupt, skip_corrupt_items};
use crate::poll::tool_poll::TOOL;
use crate::tickets::settle_ticket::load_unsynced_tickets;
use crate::{Context, Error};
use add::is_stored_value;
use choose::{hook_url, remove_hooks};
use pullyard_domain::project::Project;
use pullyard_domain::project::hook::Ingress;
use pullyard_domain::project::hook::poll_progress::{PollProgress, WebhookHealth};
use pullyard_domain::project::tracker::{Tracker, UnsyncedTicket};
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::id::{IntegrationId, ProjectId, TicketKey};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::{SyncFault, Ticket};
use pullyard_store::Write;
use tool::record_test;

/// Errors: `NotFound`.
pub async fn load_tracker(ctx: &Context, id: &IntegrationId) -> Result<Tracker, Error> {
    ctx.load_tracker(id).await
}

/// A connection for users.
#[derive(Clone, Debug)]
pub struct TrackerView {
    /// `problem` may come from the poll or the webhook of a project.
    pub tracker: Tracker,
    /// The last verified delivery of its webhooks.
    pub last_delivery: Option<Timestamp>,
}

/// Loads a connection, and the tickets whose state the tool does not show, longest first.
/// Errors: `NotFound`.
pub async fn show_tracker(ctx: &Context, id: &IntegrationId) -> Result<(TrackerView, Vec<UnsyncedTicket>), Error> {
    let found = list_trackers(ctx).await?.into_iter().find(|found| found.tracker.id == *id);
    let found = found.ok_or_else(|| Error::not_found("ticket tool", id))?;
    let mut unsynced = Vec::new();
    for project in load_all_projects(ctx).await? {
        if project.settings.tracker.as_ref().is_some_and(|tool| tool.connection == *id) {
            unsynced.extend(list_unsynced_tickets(ctx, &project).await?);
        }
    }
    unsynced.sort_by_key(|ticket| ticket.since);
    Ok((found, unsynced))
}

/// Lists the tickets whose last write to the tool failed, longest first.
pub async fn list_unsynced_tickets(ctx: &Context, project: &Project) -> Result<Vec<UnsyncedTicket>, Error> {
    if project.settings.tracker.is_none() {
        return Ok(Vec::new());
    }
    let tickets = load_unsynced_tickets(ctx, &project.id).await?.into_iter();
    let to_unsynced = |ticket: Ticket| {
        let Ticket { project, key, sync_fault, .. } = ticket;
        sync_fault.map(|SyncFault { since, problem, .. }| UnsyncedTicket { project, key, since, problem })
    };
    let tickets = tickets.filter(|ticket| ticket.tool(&project.settings).is_some());
    let mut unsynced: Vec<_> = tickets.filter_map(to_unsynced).collect();
    unsynced.sort_by_key(|ticket| ticket.since);
    Ok(unsynced)
}

/// The connections that this version can parse, by name.
pub async fn list_trackers(ctx: &Context) -> Result<Vec<TrackerView>, Error> {
    let found = skip_corrupt_items(ctx, ctx.store.list_trackers().await?)?.into_iter();
    let mut found: Vec<_> = found.map(|tracker| TrackerView { tracker, last_delivery: None }).collect();
    // Another project's calls may succeed while the poll of a deleted project or team fails.
    for Project { id, settings, .. } in load_all_projects(ctx).await? {
        let Some(tool) = settings.tracker else { continue };
        for TrackerView { tracker, last_delivery } in found.iter_mut().filter(|row| row.tracker.id == tool.connection) {
            let poll = skip_corrupt(ctx, ctx.store.load_poll(&id, &tracker.id, TOOL).await)?.flatten();
            let Some(PollProgress { problem, webhook, .. }) = poll.map(|poll| poll.look) else { continue };
            let WebhookHealth { delivered, missed, .. } = webhook.unwrap_or_default();
            *last_delivery = delivered.max(*last_delivery);
            let problem = problem.map(|problem| format!("the poll for {id} fails: {problem}"));
            let missed = missed.filter(|_| tool.ingress == Ingress::Both).map(|at| {
                let repair = format!("install it again with `pullyard trackers use {} --project {id}`", tracker.id);
                format!(
                    "the webhook for {id} did not deliver the move of {at}, which Pullyard found by itself; {repair}"
                )
            });
            tracker.problem = tracker.problem.take().or(problem).or(missed);
        }
    }
    Ok(found)
}

/// Calls the tool without changing anything there, even while the connection rests.
/// Writes: the connection's health.
/// Errors: `NotFound`.
pub async fn test_tracker(ctx: &Context, id: &IntegrationId) -> Result<Tracker, Error> {
    let mut connection = ctx.load_tracker(id).await?;
    let result = tool::test(ctx, &connection).await;
    // The credential may be another account's since the connection.
    if let Ok(Some(account)) = &result
        && connection.account.as_ref() != Some(account)
    {
        connection.account = Some(account.clone());
        ctx.store.put_tracker(&connection).await?;
        connection = ctx.load_tracker(id).await?;
    }
    record_test(ctx, &connection, result.as_ref().err()).await?;
    let problem = result.err().map(|failure| failure.error.to_string());
    Ok(Tracker { problem, ..ctx.load_tracker(id).await? })
}

/// A connection that was deleted, and sentences for users about what remains.
#[derive(Debug)]
pub struct DeletedTracker {
    pub tracker: Tracker,
    pub report: Vec<String>,
}

/// Writes: the tool's webhooks; the secrets that `add_tracker` made; TRACKERS.
/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound`; `Contended`; `Denied` while a project uses it.
pub async fn delete_tracker(ctx: &Context, id: &IntegrationId) -> Result<DeletedTracker, Error> {
    let tracker = ctx.load_tracker(id).await?;
    check_unused(ctx, id).await?;
    let mut report = Vec::new();
    if tracker.kind.has_scopes() && ctx.pages_url().starts_with("https://") {
        report.push(remove_hooks(ctx, &tracker, &hook_url(ctx, &tracker)).await);
    }
    // While the tool was called, a project may have chosen the connection.
    check_unused(ctx, id).await?;
    let users = list_secret_users(ctx).await?;
    for secret in tracker.hook_secret.iter().chain([&tracker.secret]).filter(|secret| !secret.is_empty()) {
        let is_shared = users.get(secret).is_some_and(|users| users.len() > 1);
        if is_shared || !is_stored_value(ctx, id, secret) {
            report.push(format!("Its secret {secret} remains."));
            continue;
        }
        let record = ctx.store.load_secret_record(secret).await?;
        delete_value(ctx, secret, record.as_ref()).await?;
        report.push(format!("Deleted its secret {secret}."));
    }
    // Repeated, because a concurrent call may record the health: the connection must not survive its secrets.
    let mut rounds = ctx.retries(id);
    let mut last = tracker.clone();
    while ctx.store.delete_tracker(&last).await? == Write::Stale {
        rounds.backoff().await?;
        last = ctx.load_tracker(id).await?;
        if (&last.secret, last.created) != (&tracker.secret, tracker.created) {
            return Err(Error::Contended { subject: id.to_string() });
        }
    }
    Ok(DeletedTracker { tracker, report })
}

async fn check_unused(ctx: &Context, id: &IntegrationId) -> Result<(), Error> {
    for project in ctx.store.list_all_project_ids().await? {
        let project = ctx.store.load_project(&project).await?;
        let uses_it = |project: &Project| project.settings.tracker.as_ref().is_some_and(|tool| tool.connection == *id);
        if let Some(project) = project.filter(uses_it) {
            return Err(Error::Denied(Denial::TrackerOfProject { tracker: id.clone(), project: project.id }));
        }
    }
    Ok(())
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
        return if is_readable { ctx.wake_look(project, &tool.connection, key, None).await } else { Ok(()) };
    }
}
