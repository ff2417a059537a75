//! A ticket changes without a job being made or ended.

use crate::item::blob;
use crate::read::StoredText;
use crate::transaction::{Condition, Transaction, number, text as string};
use crate::{Error, Store, Write, key, mark};
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{ProjectId, TicketKey};
use pullyard_domain::ticket::Ticket;

impl Store {
    /// Replaces a ticket by what the domain made of it: written back, entered again, put off.
    ///
    /// Writes: TICKET if `rev` is the one seen (absent if none was). For the built-in board this is the
    /// write-back itself: the ticket is the tool.
    /// Idempotent: a repeat is `Stale`, and reading again shows it done.
    pub async fn update_ticket(&self, ticket: &Ticket) -> Result<Write, Error> {
        Transaction::new("change a ticket").revise(ticket)?.commit(self).await
    }

    /// Writes a new ticket with its text.
    ///
    /// Writes: TICKET if absent; TEXT beside it, whatever an event of a ticket tool that was cut short
    /// may have left there. `Stale` when there is a ticket of that key.
    pub async fn create_ticket(&self, ticket: &Ticket, text: &TicketText) -> Result<Write, Error> {
        let key = key::ticket_text(&ticket.project, &ticket.key);
        let mut item = blob::pack(&key, text)?;
        item.insert("seen_at".into(), number(ticket.seen_at.millis()));
        let own = Condition::of("attribute_not_exists(pk) OR pk = :pk").value(":pk", string(key.pk));
        Transaction::new("write a ticket").revise(ticket)?.put_item(item, own).commit(self).await
    }

    /// Replaces a ticket's text by a change of what was read.
    ///
    /// Writes: TEXT if it is the write that was read, or absent if none was.
    pub async fn replace_text(
        &self,
        project: &ProjectId,
        ticket: &TicketKey,
        text: &TicketText,
        seen: Option<&StoredText>,
    ) -> Result<Write, Error> {
        let mut item = blob::pack(&key::ticket_text(project, ticket), text)?;
        // The tool's next text is newer than this one, whatever its clock says.
        item.insert("seen_at".into(), number(0));
        let condition = match seen {
            None => Condition::absent(),
            Some(seen) => {
                Condition::of("#mark = :read").name("#mark", mark::ATTRIBUTE).value(":read", string(&seen.written_by))
            }
        };
        Transaction::new("change a ticket's text").put_item(item, condition).commit(self).await
    }
}
