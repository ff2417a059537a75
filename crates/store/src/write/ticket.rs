//! Writes tickets and their texts.

use crate::item::blob;
use crate::read::StoredText;
use crate::transaction::{Condition, Transaction, number_value, string_value as string};
use crate::write::ledger::unless_final;
use crate::write::trigger::Request;
use crate::{Error, Store, Write, key, mark};
use pullyard_domain::job::Job;
use pullyard_domain::project::budget::Charge;
use pullyard_domain::project::spending::Spending;
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::text::id::{ProjectId, TicketKey};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::event::TicketText;

#[derive(Clone, Debug)]
pub struct TicketCreation<'a> {
    /// The ticket; it already names its job, if it gets one.
    pub ticket: &'a Ticket,
    pub text: &'a TicketText,
    pub delivery: &'a Delivery,
    pub job: Option<&'a Job>,
    pub charge: Option<&'a Charge>,
    /// The spending that the job counts in, at the revision that was read.
    pub spending: Option<&'a Spending>,
    pub request: Option<&'a Request>,
}

/// A ticket's text that a user changes on the board, with the decision about it.
#[derive(Clone, Debug)]
pub struct TextEdit<'a> {
    pub project: &'a ProjectId,
    pub ticket: &'a TicketKey,
    pub text: &'a TicketText,
    pub previous: Option<&'a StoredText>,
    pub delivery: &'a Delivery,
    pub request: Option<&'a Request>,
}

impl Store {
    /// Replaces a ticket by the state that the domain computed: written back, entered again, or delayed.
    /// Writes: TICKET if `rev` is the one seen (absent if there was none). In the built-in board, it is the write-back.
    /// Idempotent: a repeat is `Stale`, and reading again shows the change.
    pub async fn update_ticket(&self, ticket: &Ticket) -> Result<Write, Error> {
        Transaction::new("change a ticket").revise(ticket)?.commit(self).await
    }

    /// Stores a waiting entry in its ticket, together with the answer to its event. One transaction: no answer names an
    /// entry that the ticket lacks, and no entry lacks its answer.
    /// Writes: TICKET if `rev` is the one seen (absent if there was no ticket); DELIVERY if absent or not final.
    /// Idempotent: a repeat is `Stale`, and reading again shows the waiting entry.
    pub async fn record_delivery_and_ticket(&self, delivery: &Delivery, ticket: &Ticket) -> Result<Write, Error> {
        Transaction::new("hold an entry").revise(ticket)?.put(delivery, unless_final())?.commit(self).await
    }

    /// Creates a ticket with its text, its ledger entry and its job, if it gets one. All or nothing.
    /// Writes: TICKET if absent; TEXT in any case, because an interrupted event of a ticket tool may have stored one;
    /// DELIVERY and JOB if absent; BUDGET if the day has enough left; SPENT if `rev` is the one seen; IDEMPOTENCY if absent or expired.
    /// Idempotent: by the ticket's key; a repeat is `Stale`, and the caller's key shows the answer.
    pub async fn create_ticket(&self, creation: &TicketCreation<'_>) -> Result<Write, Error> {
        let TicketCreation { ticket, text, delivery, job, charge, spending, request } = creation;
        let key = key::ticket_text(&ticket.project, &ticket.key);
        let mut item = blob::pack(&key, text)?;
        item.insert("seen_at".into(), number_value(ticket.seen_at.millis()));
        let own = Condition::new("attribute_not_exists(pk) OR pk = :pk").value(":pk", string(key.pk));
        Transaction::new("write a ticket")
            .revise(*ticket)?
            .put_item(item, own)
            .put(*delivery, Condition::absent())?
            .revise_some(*job)?
            .charge(*charge)
            .revise_some(*spending)?
            .put_request(*request, delivery.id.as_str())
            .commit(self)
            .await
    }

    /// Replaces a ticket's text, together with its ledger entry.
    /// Writes: TEXT if it is the write that was read, or absent if there was no text; DELIVERY if absent or not final;
    /// IDEMPOTENCY if absent or expired.
    /// Idempotent: by the write that was read; a repeat is `Stale`, and the caller's key shows the answer.
    pub async fn replace_text(&self, edit: &TextEdit<'_>) -> Result<Write, Error> {
        let TextEdit { project, ticket, text, previous: stored, delivery, request } = edit;
        let text_key = key::ticket_text(project, ticket);
        let mut item = stored.map(|stored| stored.item.clone()).unwrap_or_default();
        item.extend(match stored {
            Some(stored) => blob::pack_with(&text_key, text, &stored.unknown)?,
            None => blob::pack(&text_key, text)?,
        });
        // The tool's next text counts as newer than this one, even if its clock is behind.
        item.insert("seen_at".into(), number_value(0));
        let condition = match stored {
            None => Condition::absent(),
            Some(stored) => {
                Condition::new("#mark = :read").name("#mark", mark::ATTRIBUTE).value(":read", string(&stored.mark))
            }
        };
        Transaction::new("change a ticket's text")
            .put_item(item, condition)
            .put(*delivery, unless_final())?
            .put_request(*request, delivery.id.as_str())
            .commit(self)
            .await
    }

    /// Deletes a ticket with its text.
    /// Writes: TICKET deleted if `rev` and `seen_at` are those seen or it is gone, because a new ticket of the same key
    /// begins at the first `rev`; TEXT deleted.
    /// Idempotent: missing items are no error.
    pub async fn delete_ticket(&self, ticket: &Ticket) -> Result<Write, Error> {
        let (project, key) = (&ticket.project, &ticket.key);
        let any = Condition::new("attribute_not_exists(pk) OR attribute_exists(pk)");
        Transaction::new("delete a ticket")
            .delete(key::ticket(project, key), Condition::at_rev_or_absent(ticket.rev, "seen_at", ticket.seen_at))
            .delete(key::ticket_text(project, key), any)
            .commit(self)
            .await
    }
}
