//! Stores the state of a ticket whenever its tool reports it, even if no job starts.

use crate::item::blob;
use crate::key;
use crate::transaction::{Condition, Transaction, number_value, string_value};
use crate::{Error, Store, Write};
use pullyard_domain::text::id::IntegrationId;
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::event::TicketEvent;

impl Store {
    /// Stores a ticket's status and the event that reported it. A new ticket is one of `tracker` since that time.
    /// Writes: TICKET updated unless a newer event is stored; put if absent. Not over `rev`, because fifty refused
    /// callers must not compete. `rev` rises, so that a job that is created from the older state is decided again.
    /// Idempotent: by the event's time and id. `Stale` if a newer state is stored.
    pub async fn update_snapshot(
        &self,
        event: &TicketEvent,
        tracker: Option<(&IntegrationId, Timestamp)>,
    ) -> Result<Write, Error> {
        // Most tickets are known, so the update comes first.
        let condition = Condition::new("attribute_exists(pk) AND seen_at <= :at").name("#status", "status");
        let update = || update(event, "#status = :status, ", condition.clone()).commit(self);
        let mut write = update().await?;
        if write == Write::Stale {
            let (project, key, status) = (event.project.clone(), event.key.clone(), event.status.clone());
            let new_ticket = Ticket::new(project, key, status, event.occurred_at, Some(event.event.clone()));
            let new_ticket = match tracker {
                Some((tracker, now)) => new_ticket.in_tool(tracker.clone(), now),
                None => new_ticket,
            };
            write = Transaction::new("store a new ticket").revise(&new_ticket)?.commit(self).await?;
        }
        if write == Write::Stale {
            // An older event may have created the ticket in between.
            write = update().await?;
        }
        Ok(write)
    }

    /// Notes an event that reports the status which a ticket already has.
    /// Writes: TICKET if it has that status and no newer event is stored. If `Stale`, the event may be an entry.
    pub async fn confirm_status(&self, event: &TicketEvent) -> Result<Write, Error> {
        let condition =
            Condition::new("attribute_exists(pk) AND seen_at <= :at AND #status = :status").name("#status", "status");
        update(event, "", condition).commit(self).await
    }

    /// Changes a card's place in its column.
    /// Writes: TICKET if it has that status. `rev` rises, so that a writer of the whole ticket reads the new rank.
    /// Idempotent: a repeat stores the same rank.
    pub async fn store_rank(&self, ticket: &Ticket, rank: i64) -> Result<Write, Error> {
        let condition = Condition::new("attribute_exists(pk) AND #status = :status")
            .name("#status", "status")
            .name("#rank", "rank")
            .value(":status", string_value(&ticket.status))
            .value(":rank", number_value(rank))
            .value(":one", number_value(1));
        let key = key::ticket(&ticket.project, &ticket.key);
        Transaction::new("order a card")
            .update(key, "#rank = :rank, rev = rev + :one", "", condition)
            .commit(self)
            .await
    }

    /// Stores a ticket's text in its own item.
    /// Writes: TEXT unless a newer event's text is stored.
    /// Idempotent: by the event's time. `Stale` if a newer text is stored.
    pub async fn store_text(&self, event: &TicketEvent) -> Result<Write, Error> {
        let Some(text) = &event.text else {
            return Ok(Write::Applied);
        };
        let mut item = blob::pack(&key::ticket_text(&event.project, &event.key), text)?;
        item.insert("seen_at".into(), number_value(event.occurred_at.millis()));
        let condition = Condition::new("attribute_not_exists(pk) OR seen_at <= :at")
            .value(":at", number_value(event.occurred_at.millis()));
        Transaction::new("store a ticket's text").put_item(item, condition).commit(self).await
    }
}

/// Updates a ticket from an event. `sets` precedes the attributes that are always set.
fn update(event: &TicketEvent, sets: &str, condition: Condition) -> Transaction {
    let (rank_set, condition) = match event.rank {
        Some(rank) => ("#rank = :rank, ", condition.name("#rank", "rank").value(":rank", number_value(rank))),
        None => ("", condition),
    };
    let condition = condition
        .value(":at", number_value(event.occurred_at.millis()))
        .value(":status", string_value(&event.status))
        .value(":event", string_value(event.event.as_str()))
        .value(":one", number_value(1));
    // The board's event is the confirmation of a requested move, whose report by the tool may follow.
    let removes = if event.source.is_external() { "written, written_trigger" } else { "written" };
    let sets = format!("{sets}{rank_set}seen_at = :at, seen_event = :event, rev = rev + :one");
    Transaction::new("store a ticket's status").update(
        key::ticket(&event.project, &event.key),
        &sets,
        removes,
        condition,
    )
}
