//! What a ticket looks like now, stored whenever its tool tells it, whatever is decided.

use crate::item::blob;
use crate::key;
use crate::transaction::{Condition, Transaction, number, text};
use crate::{Error, Store, Write};
use pullyard_domain::event::TicketEvent;
use pullyard_domain::ticket::Ticket;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshot {
    Stored,
    /// A newer one is known.
    Older,
}

impl Store {
    /// Stores a ticket's status and the event that told it.
    ///
    /// Writes: TICKET updated unless a newer event is stored; put if absent. Not over `rev`: fifty
    /// callers that are refused must not fight. It raises `rev`, so a job that is being made from the
    /// older state is decided again.
    /// Idempotent: by the event's time and id.
    pub async fn snapshot(&self, event: &TicketEvent) -> Result<Snapshot, Error> {
        // Most tickets are known, so the update comes first.
        let condition = Condition::of("attribute_exists(pk) AND seen_at <= :at").name("#status", "status");
        let update = || update(event, "#status = :status, ", condition.clone()).commit(self);
        let mut written = update().await?;
        if written == Write::Stale {
            let (project, key, status) = (event.project.clone(), event.key.clone(), event.status.clone());
            let fresh = Ticket::first_seen(project, key, status, event.occurred_at, Some(event.event.clone()));
            written = Transaction::new("store a new ticket").revise(&fresh)?.commit(self).await?;
        }
        if written == Write::Stale {
            // An older event may have made the ticket between the two.
            written = update().await?;
        }
        Ok(match written {
            Write::Applied => Snapshot::Stored,
            Write::Stale => Snapshot::Older,
        })
    }

    /// Notes an event that tells the status a ticket has already.
    ///
    /// Writes: TICKET updated if it has that status and no newer event is stored. `Stale` means that it
    /// was moved since the decision: what looked like no entry may be one.
    pub async fn snapshot_unchanged(&self, event: &TicketEvent) -> Result<Write, Error> {
        let condition =
            Condition::of("attribute_exists(pk) AND seen_at <= :at AND #status = :status").name("#status", "status");
        update(event, "", condition).commit(self).await
    }

    /// Stores a ticket's text beside it.
    ///
    /// Writes: TEXT put unless a newer event's is stored.
    /// Idempotent: by the event's time.
    pub async fn store_text(&self, event: &TicketEvent) -> Result<Snapshot, Error> {
        let Some(words) = &event.text else {
            return Ok(Snapshot::Stored);
        };
        let mut item = blob::pack(&key::ticket_text(&event.project, &event.key), words)?;
        item.insert("seen_at".into(), number(event.occurred_at.millis()));
        let condition = Condition::of("attribute_not_exists(pk) OR seen_at <= :at")
            .value(":at", number(event.occurred_at.millis()));
        let written = Transaction::new("store a ticket's text").put_item(item, condition).commit(self).await?;
        Ok(match written {
            Write::Applied => Snapshot::Stored,
            Write::Stale => Snapshot::Older,
        })
    }
}

/// The update of a ticket by an event. `sets` comes before what is always set.
fn update(event: &TicketEvent, sets: &str, condition: Condition) -> Transaction {
    let condition = condition
        .value(":at", number(event.occurred_at.millis()))
        .value(":status", text(&event.status))
        .value(":event", text(event.event.as_str()))
        .value(":one", number(1));
    let sets = format!("{sets}seen_at = :at, seen_event = :event, rev = rev + :one");
    Transaction::new("store a ticket's status").update(
        key::ticket(&event.project, &event.key),
        &sets,
        "written",
        condition,
    )
}
