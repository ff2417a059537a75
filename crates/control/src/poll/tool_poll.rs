//! Polls a ticket tool for changed tickets of a project.

use crate::trackers::client::connect_client;
use crate::trackers::tool::{CallError, record_call};
use crate::{Context, Error};
use pullyard_domain::hook::poll_progress::PollProgress;
use pullyard_domain::hook::{Ingress, Poll, RECOVERY_INTERVAL};
use pullyard_domain::id::{IntegrationId, ProjectId, TicketKey};
use pullyard_domain::time::Timestamp;
use pullyard_domain::tracker::{Tracker, TrackerSettings};
use pullyard_store::Write;
use pullyard_tracker::{Changed, Error as ToolError};
use std::time::Duration;

/// The number of a tool's poll in place of a repository's id.
pub(crate) const TOOL: u64 = 0;

/// The interval without a webhook.
const INTERVAL: Duration = Duration::from_secs(60);
/// Covers changes that the tool lists late.
const OVERLAP: Duration = Duration::from_secs(120);
/// The tool's clock may be behind ours by as much.
const MAX_SKEW: Duration = Duration::from_secs(600);
const MAX_TICKETS: usize = 500;
const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// Writes: POLL of the project's tool. Changes before the first call for a scope are not looked at.
pub(crate) async fn start_polling(
    ctx: &Context,
    project: &ProjectId,
    tool: &IntegrationId,
    is_new_scope: bool,
) -> Result<(), Error> {
    let mut rounds = ctx.retries(tool);
    loop {
        let now = ctx.clock.now();
        let stored = ctx.store.load_poll(project, tool, TOOL).await?;
        let mut poll = stored.clone().unwrap_or_else(|| Poll::of_tool(project.clone(), tool.clone(), now));
        if is_new_scope {
            poll.look = PollProgress { issues: Some(now), ..PollProgress::starting_at(now) };
        }
        (poll.next, poll.not_before, poll.gone_at) = (now.plus(INTERVAL), None, None);
        if ctx.store.put_poll(&poll).await? == Write::Applied {
            return Ok(());
        }
        rounds.backoff().await?;
    }
}

/// Requests a look at each changed ticket. The cursor is the time of the newest change.
/// Errors: a lost message; the next poll lists the tickets again.
pub(super) async fn poll_tool(ctx: &Context, mut poll: Poll, now: Timestamp) -> Result<(), Error> {
    let tool = ctx.store.load_project(&poll.project).await?.and_then(|project| project.settings.tracker);
    let tool = tool.filter(|tool| tool.connection == poll.integration);
    let connection = ctx.store.load_tracker(&poll.integration).await?;
    let Some((tool, connection)) = tool.zip(connection) else {
        // Until the project uses the tool again.
        poll.gone_at = Some(now);
        ctx.store.put_poll(&poll).await?;
        return Ok(());
    };
    poll.next = now.plus(if tool.ingress == Ingress::Poll { INTERVAL } else { RECOVERY_INTERVAL });
    poll.not_before = None;
    // Stored before calling the tool, as for repositories.
    if ctx.store.put_poll(&poll).await? == Write::Stale || connection.rest_until.is_some_and(|until| until > now) {
        return Ok(());
    }
    poll.rev += 1;
    let listed = Box::pin(list_changed(ctx, &connection, &tool, &poll, now)).await;
    record_call(ctx, &connection, listed.as_ref().err()).await?;
    match &listed {
        Ok(changed) => {
            for key in changed.iter().filter_map(|ticket| TicketKey::new(&ticket.key).ok()) {
                ctx.wake_look(&poll.project, &key).await?;
            }
            let next = next_cursor(changed, poll.look.issues, now);
            poll.look.listed = poll.look.issues.replace(next);
        }
        Err(failure) => tracing::warn!(tracker = %connection.id, problem = %failure.error, "ticket tool not polled"),
    }
    poll.look.problem = listed.err().map(|failure| failure.error.to_string());
    poll.tries = 0;
    // Stale: `use_tracker` started it again.
    ctx.store.put_poll(&poll).await?;
    Ok(())
}

async fn list_changed(
    ctx: &Context,
    connection: &Tracker,
    tool: &TrackerSettings,
    poll: &Poll,
    now: Timestamp,
) -> Result<Vec<Changed>, CallError> {
    // After a failure of the connection, the looks at the tickets of the last list may have failed, too.
    let repeated = poll.look.listed.filter(|_| connection.problem.is_some());
    let since = repeated.or(poll.look.issues).unwrap_or(now).minus(OVERLAP);
    let client = connect_client(ctx, connection).await?;
    let list = Box::pin(client.list_changed(&tool.scope, since, now, MAX_TICKETS));
    let late = || ToolError::Unreachable { reason: "it did not list its tickets in time".into() };
    Ok(ctx.clock.with_timeout(LIST_TIMEOUT, list).await.ok_or_else(late)??)
}

fn next_cursor(changed: &[Changed], before: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let newest = changed.last().map(|ticket| ticket.at);
    match newest {
        // The rest of a long list begins here, without an overlap.
        Some(newest) if changed.len() >= MAX_TICKETS => newest.plus(OVERLAP),
        _ => now.minus(MAX_SKEW).max(newest.or(before).unwrap_or(now)),
    }
}
