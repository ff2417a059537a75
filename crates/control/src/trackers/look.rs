//! Reads a ticket from its tool and handles its newest change. Messages about a ticket are hints to do so.

use crate::notify::refused_tool::notify_refusal;
use crate::poll::tool_poll::TOOL;
use crate::tickets::move_ticket::move_ticket;
use crate::trackers::tool::{CallError, connect, record_call};
use crate::{Context, Error};
use data_encoding::BASE32_NOPAD;
use pullyard_domain::delivery::Source;
use pullyard_domain::event::{TicketEvent, TicketText};
use pullyard_domain::id::{EventId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::tracker::{Tracker, TrackerSettings};
use pullyard_tracker::{Error as ToolError, Snapshot};
use sha2::{Digest, Sha256};

/// Begins the id of an event that a look found.
const LOOK: &str = "look-";

/// A failed read is not repeated here: the next poll of the tool lists the ticket again.
/// Idempotent: by the change of the ticket's status.
/// Errors: `Store`; those of `move_ticket`.
pub async fn look_at_ticket(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<(), Error> {
    let Some(stored) = ctx.store.load_project(project).await? else { return Ok(()) };
    let Some(tool) = &stored.settings.tracker else { return Ok(()) };
    let Some(connection) = ctx.store.load_tracker(&tool.connection).await? else { return Ok(()) };
    if connection.rest_until.is_some_and(|until| until > ctx.clock.now()) {
        return Ok(());
    }
    let read = async {
        let client = connect(ctx, &connection, (project, key), &stored.settings).await?;
        client.read().await.map_err(CallError::from)
    };
    let result = Box::pin(read).await;
    if let Err(CallError { error: ToolError::Refused { status, .. }, .. }) = &result {
        notify_refusal(ctx, &connection, *status).await;
    }
    record_call(ctx, &connection, result.as_ref().err()).await?;
    let ticket = ctx.store.load_ticket(project, key).await?;
    match result {
        Ok(snapshot) if ticket.is_none() && is_older_than_tool(ctx, project, &connection, &snapshot).await? => Ok(()),
        Ok(mut snapshot) => {
            let own_id = stored.settings.tool_account.clone();
            // Our account may have several ids.
            let author = snapshot.change.actor.as_mut().filter(|author| connection.is_own(&author.id));
            author.zip(own_id).into_iter().for_each(|(author, own_id)| author.id = own_id);
            let repository = load_repository_name(ctx, (project, key), &snapshot.labels).await?;
            let event = to_event((project, key), tool, snapshot, repository)?;
            if let Some(left) = ticket.and_then(|ticket| to_unseen_move(&ticket, &event)) {
                Box::pin(move_ticket(ctx, &left)).await?;
            }
            Box::pin(move_ticket(ctx, &event)).await.map(drop)
        }
        Err(CallError { error: ToolError::NotFound, .. }) => Ok(()),
        Err(failure) => {
            tracing::warn!(%project, ticket = %key, problem = %failure.error, "ticket tool not read");
            Ok(())
        }
    }
}

/// A ticket that entered its status before the project used the tool starts no job by an edit.
async fn is_older_than_tool(
    ctx: &Context,
    project: &ProjectId,
    connection: &Tracker,
    snapshot: &Snapshot,
) -> Result<bool, Error> {
    let poll = ctx.store.load_poll(project, &connection.id, TOOL).await?;
    Ok(poll.and_then(|poll| poll.look.since).is_some_and(|since| snapshot.change.at < since))
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

/// The repository of an issue, or the one of the label `repo:NAME`, with or without its owner. A wrong name is no
/// repository of the project, so that the job does not start in the default one.
async fn load_repository_name(
    ctx: &Context,
    (project, key): (&ProjectId, &TicketKey),
    labels: &[String],
) -> Result<Option<RepositoryName>, Error> {
    let of_issue = key.as_str().rsplit_once('#').and_then(|(name, _)| RepositoryName::new(name).ok());
    let Some(wanted) = labels.iter().find_map(|label| label.strip_prefix("repo:")).filter(|_| of_issue.is_none())
    else {
        return Ok(of_issue);
    };
    let suffix = format!("/{wanted}").to_lowercase();
    let is_wanted = |name: &RepositoryName| format!("/{name}").to_lowercase().ends_with(&suffix);
    let repositories = ctx.store.list_repositories(project).await?;
    let found = repositories.into_iter().map(|repository| repository.name).find(is_wanted);
    Ok(found.or_else(|| RepositoryName::new(format!("unknown/{}", wanted.replace('/', "-"))).ok()))
}

/// Twins, polls and replays of one change are one event. An entry into the trigger status is a change of its own.
fn to_event(
    (project, key): (&ProjectId, &TicketKey),
    tool: &TrackerSettings,
    snapshot: Snapshot,
    repository: Option<RepositoryName>,
) -> Result<TicketEvent, Error> {
    let Snapshot { title, body, labels, status, url, change, .. } = snapshot;
    let hash = Sha256::digest(format!("{}\n{project}\n{key}\n{}", tool.connection, change.id));
    let labels = labels.into_iter().collect();
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
    })
}
