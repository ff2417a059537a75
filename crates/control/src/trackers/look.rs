//! Reads a ticket from its tool and handles its newest change. Messages about a ticket are hints to do so.

use crate::notify::refused_tool::notify_refusal;
use crate::tickets::move_ticket::move_ticket;
use crate::trackers::tool::{CallError, connect, record_call};
use crate::{Context, Error};
use data_encoding::BASE32_NOPAD;
use pullyard_domain::delivery::Source;
use pullyard_domain::event::{TicketEvent, TicketText};
use pullyard_domain::id::{EventId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::tracker::TrackerSettings;
use pullyard_tracker::{Error as ToolError, Snapshot};
use sha2::{Digest, Sha256};

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
    match result {
        Ok(snapshot) => Box::pin(move_ticket(ctx, &to_event(project, key, tool, snapshot)?)).await.map(drop),
        Err(CallError { error: ToolError::NotFound, .. }) => Ok(()),
        Err(failure) => {
            tracing::warn!(%project, ticket = %key, problem = %failure.error, "ticket tool not read");
            Ok(())
        }
    }
}

/// Twins, polls and replays of one change are one event. An entry into the trigger status is a change of its own.
fn to_event(
    project: &ProjectId,
    key: &TicketKey,
    tool: &TrackerSettings,
    snapshot: Snapshot,
) -> Result<TicketEvent, Error> {
    let Snapshot { title, body, labels, status, url, change, .. } = snapshot;
    let hash = Sha256::digest(format!("{}\n{project}\n{key}\n{}", tool.connection, change.id));
    let repository = key.as_str().rsplit_once('#').and_then(|(name, _)| RepositoryName::new(name).ok());
    let named = labels.iter().find_map(|label| RepositoryName::new(label.strip_prefix("repo:")?).ok());
    Ok(TicketEvent {
        source: Source::TicketTool,
        project: project.clone(),
        event: EventId::new(format!("look-{}", BASE32_NOPAD.encode(&hash).to_ascii_lowercase()))?,
        occurred_at: change.at,
        actor: change.actor.map(|actor| actor.id),
        previous_status: change.from.map(|from| tool.status_name(&from).to_owned()),
        key: key.clone(),
        status: tool.status_name(&status).to_owned(),
        text: Some(TicketText {
            title,
            description: body,
            labels: labels.into_iter().collect(),
            url: Some(url),
            repository: repository.or(named),
        }),
        rank: None,
    })
}
