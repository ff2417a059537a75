//! Renames a column with its tickets, and refuses changes that would leave tickets without their column.

use crate::corrupt::skip_corrupt_items;
use crate::{Context, Error};
use pullyard_domain::project::{Project, Settings};
use pullyard_domain::text::id::{ProjectId, TicketKey};
use pullyard_domain::ticket::Ticket;
use pullyard_store::Write;
use std::time::Duration;

/// Tickets loaded at once.
const BATCH_SIZE: usize = 100;

/// Time limit of one call, below the 28 s of a function.
const TIME_LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenamedColumn {
    pub project: Project,
    pub moved_tickets: u32,
    /// False if time ran out first; a repeat moves the rest.
    pub is_complete: bool,
}

/// Renames a column in the settings, then in its tickets. Nothing enters a status: no job starts, and the end of a
/// running job moves its ticket from the new name. Until then the board shows a ticket's old name after the columns.
/// Writes: PROJECT if `rev` is unchanged; then each TICKET that names the column, if `rev` is unchanged.
/// Idempotent: a repeat moves the tickets that still have the old name.
/// Errors: `NotFound`; `Invalid`, also while an entry waits in the column, because it would be dropped; `Contended`.
pub async fn rename_column(ctx: &Context, id: &ProjectId, from: &str, to: &str) -> Result<RenamedColumn, Error> {
    let start = ctx.clock.monotonic();
    let project = rename_in_settings(ctx, id, from, to).await?;
    let mut moved_tickets = 0;
    for keys in ctx.store.list_all_ticket_keys(id).await?.chunks(BATCH_SIZE) {
        for ticket in load_tickets(ctx, id, keys).await? {
            if ticket.rename_status(from, to).is_none() {
                continue;
            }
            if ctx.clock.monotonic().saturating_sub(start) >= TIME_LIMIT {
                return Ok(RenamedColumn { project, moved_tickets, is_complete: false });
            }
            rename_in_ticket(ctx, &ticket, from, to).await?;
            moved_tickets += u32::from(ticket.status == from);
        }
    }
    tracing::info!(project = %id, tickets = moved_tickets, "column renamed");
    Ok(RenamedColumn { project, moved_tickets, is_complete: true })
}

async fn rename_in_settings(ctx: &Context, id: &ProjectId, from: &str, to: &str) -> Result<Project, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let project = ctx.load_project(id).await?;
        let statuses = project.settings.statuses.clone().rename_column(from, to)?;
        let mut settings = Settings { statuses, ..project.settings.clone() };
        let names = settings.tracker.iter_mut().flat_map(|tool| &mut tool.statuses).map(|[_, name]| name);
        names.filter(|name| *name == from).for_each(|name| to.clone_into(name));
        if settings == project.settings {
            return Ok(project);
        }
        settings.validate().map_err(|bad| Error::Invalid { pointer: "/to", fault: bad.fault.into() })?;
        // A settlement between the two writes would find the ticket outside of the trigger status and drop its entry.
        if let Some(key) = find_ticket(ctx, id, |ticket| ticket.status == from && ticket.again.is_some()).await? {
            let fault = format!("{key} waits in {from} to start a job; rename the column when no ticket waits");
            return Err(Error::Invalid { pointer: "/from", fault });
        }
        let renamed = Project { settings, ..project };
        if ctx.store.put_project(&renamed).await? == Write::Applied {
            return Ok(Project { rev: renamed.rev + 1, ..renamed });
        }
        rounds.backoff().await?;
    }
}

async fn rename_in_ticket(ctx: &Context, stored: &Ticket, from: &str, to: &str) -> Result<(), Error> {
    let mut rounds = ctx.retries(&stored.key);
    let mut renamed = stored.rename_status(from, to);
    while let Some(ticket) = renamed {
        if ctx.store.update_ticket(&ticket).await? == Write::Applied {
            break;
        }
        rounds.backoff().await?;
        let current = ctx.store.load_ticket(&stored.project, &stored.key).await?;
        renamed = current.and_then(|ticket| ticket.rename_status(from, to));
    }
    Ok(())
}

pub(crate) async fn check_removed_columns(ctx: &Context, project: &Project, settings: &Settings) -> Result<(), Error> {
    let columns = &project.settings.statuses.columns;
    let removed: Vec<_> = columns.iter().filter(|column| !settings.statuses.has_column(column)).collect();
    for column in removed {
        if let Some(key) = find_ticket(ctx, &project.id, |ticket| ticket.status == *column).await? {
            let fault = format!("{key} is in {column}; move its tickets to another column, or rename the column");
            return Err(Error::Invalid { pointer: "/statuses/columns", fault });
        }
    }
    Ok(())
}

pub(crate) async fn find_ticket(
    ctx: &Context,
    project: &ProjectId,
    matches: impl Fn(&Ticket) -> bool,
) -> Result<Option<TicketKey>, Error> {
    for keys in ctx.store.list_all_ticket_keys(project).await?.chunks(BATCH_SIZE) {
        if let Some(ticket) = load_tickets(ctx, project, keys).await?.into_iter().find(|ticket| matches(ticket)) {
            return Ok(Some(ticket.key));
        }
    }
    Ok(None)
}

async fn load_tickets(ctx: &Context, project: &ProjectId, keys: &[TicketKey]) -> Result<Vec<Ticket>, Error> {
    skip_corrupt_items(ctx, ctx.store.load_tickets(project, keys).await?)
}
