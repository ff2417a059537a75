//! Polls a ticket tool for changed tickets of a project.

use crate::host_rest::load_tool_rest;
use crate::trackers::call_error::CallError;
use crate::trackers::client::connect_client;
use crate::trackers::tool::record_call;
use crate::{Context, Error};
use pullyard_domain::project::hook::poll_progress::{PollProgress, WebhookHealth};
use pullyard_domain::project::hook::{Ingress, Poll, RECOVERY_INTERVAL};
use pullyard_domain::project::tracker::{Tracker, TrackerSettings};
use pullyard_domain::text::back_off::back_off;
use pullyard_domain::text::id::{IntegrationId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::text::time::Timestamp;
use pullyard_store::Write;
use pullyard_tracker::{Changed, Error as ToolError};
use std::time::Duration;

/// The number of a tool's poll in place of a repository's id.
pub(crate) const TOOL: u64 = 0;

/// The interval without a webhook.
const INTERVAL: Duration = Duration::from_secs(60);
/// Covers changes that the tool lists late.
const OVERLAP: Duration = Duration::from_secs(120);
/// The tool's clock may be slow by this much.
const MAX_SKEW: Duration = Duration::from_secs(600);
const MAX_TICKETS: usize = 500;
/// Above it, the messages themselves are repeated.
const MAX_UNREAD: usize = 2 * MAX_TICKETS;
const MAX_ROUNDS: u32 = 30;
/// After failed polls of one project.
const MAX_BACK_OFF: Duration = Duration::from_secs(600);
const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts to poll a project's tool. Moves before the first call for a scope start no job. `before`: the scope in the
/// settings. The poll for issues only records the time, because the polls of repositories list issues.
/// Writes: POLL of the project's tool.
pub(crate) async fn start_polling(
    ctx: &Context,
    project: &ProjectId,
    connection: &Tracker,
    scope: &str,
    before: Option<&str>,
) -> Result<(), Error> {
    let (tool, is_polled) = (&connection.id, connection.kind.has_scopes());
    let start = |stored: Option<Poll>| {
        let now = ctx.clock.now();
        let continues = before.is_some() && stored.as_ref().is_some_and(|poll| !is_polled || poll.gone_at.is_none());
        let mut poll = stored.unwrap_or_else(|| Poll::of_tool(project.clone(), tool.clone(), now));
        if continues {
            // An older version of the program stored no scope.
            poll.look.enter_scope(before.unwrap_or_default(), now);
        } else {
            poll.look = PollProgress::default();
        }
        poll.look.enter_scope(scope, now);
        let gone_at = (!is_polled).then_some(now);
        (poll.next, poll.not_before, poll.gone_at) = (now.plus(INTERVAL), None, gone_at);
        Ok(Some(poll))
    };
    update_poll(ctx, project, tool, start).await
}

/// Continues to poll for a tool that a project left for a moment. Clears the mark that a poll may have set since.
/// Writes: POLL of the project's tool, if there is one.
pub(crate) async fn continue_polling(ctx: &Context, project: &ProjectId, tool: &TrackerSettings) -> Result<(), Error> {
    let resume = |stored: Option<Poll>| {
        let now = ctx.clock.now();
        Ok(stored.map(|mut poll| {
            poll.look.enter_scope(&tool.scope, now);
            Poll { next: now, not_before: None, gone_at: None, ..poll }
        }))
    };
    update_poll(ctx, project, &tool.connection, resume).await
}

/// Stores the change of a poll, unless `change` returns that there is none.
async fn update_poll(
    ctx: &Context,
    project: &ProjectId,
    tool: &IntegrationId,
    change: impl Fn(Option<Poll>) -> Result<Option<Poll>, Error>,
) -> Result<(), Error> {
    // Many looks may fail at the same time.
    let mut rounds = ctx.retries(tool).up_to(MAX_ROUNDS);
    while let Some(changed) = change(ctx.store.load_poll(project, tool, TOOL).await?)? {
        if ctx.store.put_poll(&changed).await? == Write::Applied {
            break;
        }
        rounds.backoff().await?;
    }
    Ok(())
}

/// Lets the next poll repeat the look at a ticket that could not be read. The poll is due at the end of the tool's rest.
/// Writes: POLL of the project's tool, if there is one.
/// Errors: `Contended`, also while too many looks wait; the message is repeated then.
pub(crate) async fn repeat_look(
    ctx: &Context,
    project: &ProjectId,
    tool: &IntegrationId,
    key: &TicketKey,
    rest_until: Option<Timestamp>,
) -> Result<(), Error> {
    let add = |stored: Option<Poll>| {
        let Some(mut poll) = stored else { return Ok(None) };
        let known = poll.look.unread.get(key).map(|at| at.plus(Duration::from_millis(1)));
        if poll.look.unread.len() >= MAX_UNREAD && known.is_none() {
            return Err(Error::Contended { subject: tool.to_string() });
        }
        // A later time than before: the end of a poll removes the entries that it saw.
        poll.look.unread.insert(key.clone(), known.max(Some(ctx.clock.now())).unwrap_or_default());
        poll.next = rest_until.map_or(poll.next, |until| poll.next.min(until));
        Ok(Some(poll))
    };
    update_poll(ctx, project, tool, add).await
}

/// Repeats the looks at issues of a repository that could not be read. Issues have no poll of their own.
/// Writes: POLL of the project's tool.
pub(super) async fn repeat_issue_looks(ctx: &Context, poll: &Poll, repository: &RepositoryName) -> Result<(), Error> {
    let is_of_repository =
        |key: &TicketKey| key.as_str().rsplit_once('#').is_some_and(|it| it.0 == repository.as_str());
    let mut unread = poll.look.unread.clone();
    unread.retain(|key, _| is_of_repository(key));
    if unread.is_empty() {
        return Ok(());
    }
    let connection = ctx.store.load_tracker(&poll.integration).await?;
    let rest = match &connection {
        Some(connection) => load_tool_rest(ctx, connection).await?,
        None => None,
    };
    if rest.is_some() {
        return Ok(());
    }
    for key in unread.keys() {
        ctx.wake_look(&poll.project, &poll.integration, key, None).await?;
    }
    let remove = |stored: Option<Poll>| {
        let Some(mut poll) = stored else { return Ok(None) };
        poll.look.unread.retain(|key, at| unread.get(key) != Some(at));
        Ok(Some(poll))
    };
    update_poll(ctx, &poll.project, &poll.integration, remove).await
}

/// Writes: POLL of the project's tool, if there is one and `change` returns a new health of the webhook.
pub(crate) async fn update_webhook(
    ctx: &Context,
    project: &ProjectId,
    tool: &IntegrationId,
    change: impl Fn(WebhookHealth, Timestamp) -> Option<WebhookHealth>,
) -> Result<(), Error> {
    let update = |stored: Option<Poll>| {
        let Some(mut poll) = stored else { return Ok(None) };
        let changed = change(poll.look.webhook.take().unwrap_or_default(), ctx.clock.now());
        Ok(changed.map(|changed| Poll { look: PollProgress { webhook: Some(changed), ..poll.look }, ..poll }))
    };
    update_poll(ctx, project, tool, update).await
}

/// Requests a look at each ticket that could not be read and at each changed one. The cursor is the time of the newest
/// change.
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
    // After a crash of the choice of another scope.
    poll.look.enter_scope(&tool.scope, now);
    // Stored before calling the tool, as for repositories.
    if ctx.store.put_poll(&poll).await? == Write::Stale || connection.rest_until.is_some_and(|until| until > now) {
        return Ok(());
    }
    for key in poll.look.unread.keys() {
        ctx.wake_look(&poll.project, &poll.integration, key, None).await?;
    }
    if poll.look.unread.len() >= MAX_TICKETS {
        // With the failures of another list, there could be more than `MAX_UNREAD`.
        return record_poll(ctx, &poll, PollProgress { problem: None, ..poll.look.clone() }, now).await;
    }
    let listed = Box::pin(list_changed(ctx, &connection, &tool, &poll, now)).await;
    record_call(ctx, &connection, listed.as_ref().err()).await?;
    let look = match listed {
        Ok(changed) => {
            let is_seen = |ticket: &&Changed| poll.look.seen.get(&ticket.key) == Some(&ticket.at);
            let new = changed.iter().filter(|ticket| !is_seen(ticket));
            let new = new.filter_map(|ticket| TicketKey::new(&ticket.key).ok());
            for key in new.filter(|key| !poll.look.unread.contains_key(key)) {
                ctx.wake_look(&poll.project, &poll.integration, &key, None).await?;
            }
            let next = next_cursor(&changed, poll.look.issues, now);
            let seen = changed.into_iter().filter(|ticket| ticket.at >= next.minus(OVERLAP));
            let seen = seen.map(|ticket| (ticket.key, ticket.at)).collect();
            PollProgress { issues: Some(next), seen, problem: None, ..poll.look.clone() }
        }
        Err(failure) => {
            tracing::warn!(tracker = %connection.id, problem = %failure.error, "ticket tool not polled");
            PollProgress { problem: Some(failure.error.to_string()), ..poll.look.clone() }
        }
    };
    record_poll(ctx, &poll, look, now).await
}

/// Stores the progress. Looks that failed during the poll are repeated by the next one.
/// Writes: POLL, unless `use_tracker` began it again.
async fn record_poll(ctx: &Context, begun: &Poll, look: PollProgress, now: Timestamp) -> Result<(), Error> {
    let end = |stored: Option<Poll>| {
        let is_same = |poll: &Poll| (poll.look.since, &poll.look.scope) == (look.since, &look.scope);
        let Some(mut poll) = stored.filter(is_same) else { return Ok(None) };
        let PollProgress { mut unread, webhook, .. } = std::mem::take(&mut poll.look);
        unread.retain(|key, at| look.unread.get(key) != Some(at));
        if look.problem.is_none() {
            poll.tries = 0;
        } else {
            poll.not_before = Some(now.plus(back_off(poll.tries).min(MAX_BACK_OFF)));
            poll.tries += 1;
        }
        poll.look = PollProgress { unread, webhook, ..look.clone() };
        Ok(Some(poll))
    };
    update_poll(ctx, &begun.project, &begun.integration, end).await
}

async fn list_changed(
    ctx: &Context,
    connection: &Tracker,
    tool: &TrackerSettings,
    poll: &Poll,
    now: Timestamp,
) -> Result<Vec<Changed>, CallError> {
    let since = poll.look.issues.unwrap_or(now).minus(OVERLAP);
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
