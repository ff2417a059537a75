//! The order of the cards in a column of the board.

use crate::corrupt::skip_corrupt_items;
use crate::{Context, Error};
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::id::{ProjectId, TicketKey};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::rank::rank_before;

/// A column is searched for the neighbour among this many tickets of the project, by key. In a larger project, tickets
/// beyond may be between a card and the one before which it was placed.
const MAX_PAGES: usize = 5;
const PAGE_SIZE: i32 = 200;

/// Finds a rank for `ticket` before `next` in the column `status`.
/// Errors: `Denied` if `next` is not in the column, or no number is left before it.
pub(super) async fn load_rank_before(
    ctx: &Context,
    ticket: &Ticket,
    next: &TicketKey,
    status: &str,
) -> Result<i64, Error> {
    let project = &ticket.project;
    let found = ctx.store.load_ticket(project, next).await?.filter(|found| found.status == status);
    let absent = || Error::Denied(Denial::NotInColumn { ticket: next.clone(), status: status.to_owned() });
    let found = found.ok_or_else(absent)?;
    let column = load_column(ctx, project, status).await?;
    let full = || Error::Denied(Denial::NoPlaceLeft { ticket: next.clone() });
    rank_before(&ticket.key, &found, &column).ok_or_else(full)
}

pub async fn load_column(ctx: &Context, project: &ProjectId, status: &str) -> Result<Vec<Ticket>, Error> {
    let mut column = Vec::new();
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let (keys, next) = ctx.store.list_ticket_keys(project, after.as_deref(), PAGE_SIZE).await?;
        let tickets = skip_corrupt_items(ctx, ctx.store.load_tickets(project, &keys).await?)?;
        column.extend(tickets.into_iter().filter(|ticket| ticket.status == status));
        after = next;
        if after.is_none() {
            break;
        }
    }
    column.sort_by(|a, b| a.card_order().cmp(&b.card_order()));
    Ok(column)
}
