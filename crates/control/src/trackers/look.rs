//! Reads a ticket from its tool and handles its newest change. Messages about a ticket are hints to do so.

use crate::corrupt::load_readable_tracker;
use crate::host_rest::load_tool_rest;
use crate::poll::tool_poll::{TOOL, repeat_look, update_webhook};
use crate::tickets::move_ticket::move_ticket;
use crate::trackers::call_error::CallError;
use crate::trackers::tool::{connect, record_call};
use crate::{Context, Error};
use data_encoding::BASE32_NOPAD;
use pullyard_domain::project::forge::Auth;
use pullyard_domain::project::hook::Ingress;
use pullyard_domain::project::tracker::{Tracker, TrackerKind, TrackerSettings};
use pullyard_domain::review::delivery::Source;
use pullyard_domain::text::id::{EventId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::event::{TicketEvent, TicketText};
use pullyard_store::Write;
use pullyard_tracker::{Change, Error as ToolError, Snapshot};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Begins the id of an event that a look found.
const LOOK: &str = "look-";

/// The tool's clock may be slow by this much when a user drags a ticket just after the choice of the tool.
const CLOCK_MARGIN: Duration = Duration::from_secs(5);

/// A failed read is not repeated here: the next poll of the tool sends the look again.
/// Idempotent: by the change of the ticket's status.
/// Errors: `Store`; those of `move_ticket`.
pub async fn look_at_ticket(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<(), Error> {
    let Some(stored) = ctx.store.load_project(project).await? else { return Ok(()) };
    let Some(tool) = &stored.settings.tracker else { return Ok(()) };
    let Some(connection) = load_readable_tracker(ctx, &tool.connection).await? else { return Ok(()) };
    begin_look(ctx, project, key).await?;
    if let Some(until) = load_tool_rest(ctx, &connection).await? {
        return repeat_look(ctx, project, &connection.id, key, Some(until)).await;
    }
    let read = async {
        let client = connect(ctx, &connection, (project, key), &stored.settings).await?;
        client.read(ctx.clock.now()).await.map_err(CallError::from)
    };
    let result = Box::pin(read).await;
    record_call(ctx, &connection, result.as_ref().err()).await?;
    let ticket = ctx.store.load_ticket(project, key).await?;
    match result {
        Ok(snapshot) => {
            let moved_at = snapshot.change.at;
            let is_older =
                is_older_than_tool(ctx, project, tool, entered_at(&snapshot.change, ticket.as_ref())).await?;
            let author = snapshot.change.actor.as_ref().map(|author| author.id.as_str());
            let is_own = is_own_account(ctx, &connection, author).await?;
            let repository = load_repository_name(ctx, (project, key), &snapshot.labels).await?;
            let event = to_event((project, key), (tool, connection.kind), snapshot, repository)?;
            let mut event = TicketEvent { is_own, ..event };
            match &ticket {
                None if is_older => show_older(ctx, &event, &connection).await?,
                // The edit counts, but the entry was made before the project used the tool.
                Some(ticket) if is_older && event.status == stored.settings.statuses.trigger => {
                    event.status.clone_from(&ticket.status);
                }
                _ => {}
            }
            if let Some(left) = ticket.filter(|_| !is_older).and_then(|ticket| to_unseen_move(&ticket, &event)) {
                Box::pin(move_ticket(ctx, &left)).await?;
            }
            Box::pin(move_ticket(ctx, &event)).await?;
            if !is_older && tool.ingress == Ingress::Both && connection.kind.has_scopes() {
                let record =
                    update_webhook(ctx, project, &connection.id, |known, now| known.record_move(moved_at, now));
                if let Err(error) = record.await {
                    tracing::warn!(error = &error as &dyn std::error::Error, tracker = %connection.id, "webhook not judged");
                }
            }
            Ok(())
        }
        Err(CallError { error: ToolError::NotFound, .. }) => {
            // The board keeps the ticket. A job's end finds that out by itself.
            let lost = ticket.filter(|ticket| ticket.tracker.is_some() && ticket.active_job.is_none());
            if let Some(ticket) = lost.filter(|_| connection.kind.is_readable()) {
                ctx.store.update_ticket(&Ticket { tracker: None, sync_fault: None, ..ticket }).await?;
            }
            Ok(())
        }
        Err(failure) => {
            tracing::warn!(%project, ticket = %key, problem = %failure.error, "ticket tool not read");
            repeat_look(ctx, project, &connection.id, key, None).await
        }
    }
}

/// Lets deliveries from now on request another look.
/// Writes: LOOK if a look waits.
async fn begin_look(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<(), Error> {
    let mut rounds = ctx.retries(key);
    while let Some(look) = ctx.store.load_ticket_look(project, key).await?
        && let Some(begun) = look.begin(ctx.clock.now())
        && ctx.store.put_ticket_look(&begun).await? == Write::Stale
    {
        rounds.backoff().await?;
    }
    Ok(())
}

/// Stores a ticket that was in its status before the project used the tool, so that the event is no entry.
async fn show_older(ctx: &Context, event: &TicketEvent, connection: &Tracker) -> Result<(), Error> {
    let TicketEvent { project, key, status, occurred_at, .. } = event.clone();
    let ticket = Ticket::new(project, key, status, occurred_at, None);
    // Stale: another look has stored it.
    ctx.store.update_ticket(&ticket.in_tool(connection.id.clone(), ctx.clock.now())).await.map(drop)?;
    Ok(())
}

/// Whether the ticket entered its status before the project used the tool, so that it starts no job by an edit.
async fn is_older_than_tool(
    ctx: &Context,
    project: &ProjectId,
    tool: &TrackerSettings,
    entered_at: Timestamp,
) -> Result<bool, Error> {
    let Some(poll) = ctx.store.load_poll(project, &tool.connection, TOOL).await? else { return Ok(false) };
    let mut look = poll.look;
    // The poll of another scope begins again.
    look.enter_scope(&tool.scope, ctx.clock.now());
    Ok(look.since.is_some_and(|since| entered_at < since.minus(CLOCK_MARGIN)))
}

/// The time of the entry into the status. Without a history it is unknown, and an edit would make an old ticket look new
/// unless the board saw the ticket in another status before.
fn entered_at(change: &Change, ticket: Option<&Ticket>) -> Timestamp {
    if ticket.is_none() { change.earliest } else { change.at }
}

/// Whether only Pullyard makes changes as this author.
async fn is_own_account(ctx: &Context, connection: &Tracker, author: Option<&str>) -> Result<bool, Error> {
    let Some(author) = author else { return Ok(false) };
    if connection.kind != TrackerKind::Issues {
        return Ok(connection.is_own(author));
    }
    let integration = ctx.store.load_integration(&connection.id).await?;
    Ok(integration.is_some_and(|found| matches!(found.auth, Auth::App { .. }) && found.account.login == author))
}

/// The earlier move, if a ticket left its status and entered it again between two looks. Pullyard's own moves and
/// events of other sources end no stay that a look began.
fn to_unseen_move(ticket: &Ticket, event: &TicketEvent) -> Option<TicketEvent> {
    let seen = ticket.seen_event.as_ref().filter(|seen| **seen != event.event && seen.as_str().starts_with(LOOK))?;
    let is_again = ticket.status == event.status && event.occurred_at > ticket.seen_at;
    let is_written = [&ticket.written, &ticket.written_trigger].contains(&&Some(event.status.clone()));
    let status = event.previous_status.clone().filter(|from| is_again && !is_written && *from != event.status)?;
    let id = EventId::new(format!("{seen}-left")).ok()?;
    Some(TicketEvent { event: id, status, previous_status: None, text: None, ..event.clone() })
}

/// The repository of an issue, or the one of the label `repo:NAME`, with or without its owner. A wrong or ambiguous
/// label is no repository of the project, so that the job does not start in the default one.
async fn load_repository_name(
    ctx: &Context,
    (project, key): (&ProjectId, &TicketKey),
    labels: &[String],
) -> Result<Option<RepositoryName>, Error> {
    let of_issue = key.as_str().rsplit_once('#').and_then(|(name, _)| RepositoryName::new(name).ok());
    let wanted: Vec<_> = labels.iter().filter_map(|label| label.trim().strip_prefix("repo:")).map(str::trim).collect();
    if of_issue.is_some() || wanted.is_empty() {
        return Ok(of_issue);
    }
    let is_named = |name: &RepositoryName| {
        let (_, short) = name.as_str().split_once('/').unwrap_or_default();
        wanted.iter().any(|wanted| name.as_str().eq_ignore_ascii_case(wanted) || short.eq_ignore_ascii_case(wanted))
    };
    let names = ctx.store.list_repositories(project).await?.into_iter().map(|repository| repository.name);
    let mut found: Vec<_> = names.filter(is_named).collect();
    match found.pop().filter(|_| found.is_empty() && wanted.len() == 1) {
        Some(name) => Ok(Some(name)),
        None => {
            let name = format!("unknown/{}", wanted.join("-").replace('/', "-"));
            Ok(Some(RepositoryName::new(name).or_else(|_| RepositoryName::new("unknown/unknown"))?))
        }
    }
}

/// Twins, polls and replays of one change are one event. An entry into the trigger status is a change of its own.
fn to_event(
    (project, key): (&ProjectId, &TicketKey),
    (tool, kind): (&TrackerSettings, TrackerKind),
    snapshot: Snapshot,
    repository: Option<RepositoryName>,
) -> Result<TicketEvent, Error> {
    let Snapshot { title, body, labels, status, url, change, .. } = snapshot;
    let hash = Sha256::digest(format!("{}\n{project}\n{key}\n{}", tool.connection, change.id));
    // Our badges are states of the ticket, and no text of its author.
    let badges = [&tool.badges.failed, &tool.badges.waiting];
    let is_badge = |label: &String| badges.iter().any(|badge| kind.is_same_label(badge, label));
    let labels = labels.into_iter().filter(|label| !is_badge(label)).collect();
    Ok(TicketEvent {
        source: Source::TicketTool,
        project: project.clone(),
        event: EventId::new(format!("{LOOK}{}", BASE32_NOPAD.encode(&hash).to_ascii_lowercase()))?,
        occurred_at: change.at,
        actor: change.actor.map(|actor| actor.id),
        previous_status: change.from.map(|from| tool.status_name(&from).to_owned()),
        key: key.clone(),
        status: tool.status_name(&status).to_owned(),
        text: Some(TicketText { title, description: body, labels, url: Some(url), repository }),
        rank: None,
        is_own: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_without_history_is_as_old_as_an_unknown_ticket() {
        let [created, edited] = [1_000, 9_000].map(Timestamp::from_millis);
        let (project, key) = (ProjectId::new("acme").unwrap(), TicketKey::new("PRJ-7").unwrap());
        let known = Ticket::new(project, key, "Backlog".into(), created, None);
        let change = |earliest| Change { id: "1-to-3".into(), at: edited, earliest, actor: None, from: None };
        for (earliest, ticket, expected) in [
            (created, None, created),
            // The board saw it in another status.
            (created, Some(&known), edited),
            (edited, None, edited),
            (edited, Some(&known), edited),
        ] {
            assert_eq!(entered_at(&change(earliest), ticket), expected, "{earliest} {ticket:?}");
        }
    }
}
