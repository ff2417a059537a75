//! A ticket changes without a job being made or ended.

use crate::item::blob;
use crate::read::StoredText;
use crate::transaction::{Condition, Transaction, number, text as string};
use crate::write::budget;
use crate::write::ledger::unless_final;
use crate::write::trigger::{Request, remember};
use crate::{Error, Store, Write, key, mark};
use pullyard_domain::budget::Charge;
use pullyard_domain::delivery::Delivery;
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{ProjectId, TicketKey};
use pullyard_domain::job::Job;
use pullyard_domain::ticket::Ticket;

/// A ticket that is written on the board, with what was decided about it.
#[derive(Clone, Debug)]
pub struct Written<'a> {
    /// The ticket; with its job already in it, if it gets one.
    pub ticket: &'a Ticket,
    pub text: &'a TicketText,
    pub delivery: &'a Delivery,
    pub job: Option<&'a Job>,
    /// What that takes from its project's budget, if there is one.
    pub charge: Option<&'a Charge>,
    /// The caller's own key for this request.
    pub request: Option<&'a Request>,
}

/// A ticket's text that is changed on the board, with what was decided about it.
#[derive(Clone, Debug)]
pub struct Edited<'a> {
    pub project: &'a ProjectId,
    pub ticket: &'a TicketKey,
    pub text: &'a TicketText,
    pub seen: Option<&'a StoredText>,
    pub delivery: &'a Delivery,
    /// The caller's own key for this request.
    pub request: Option<&'a Request>,
}

impl Store {
    /// Replaces a ticket by what the domain made of it: written back, entered again, put off.
    ///
    /// Writes: TICKET if `rev` is the one seen (absent if none was). For the built-in board this is the
    /// write-back itself: the ticket is the tool.
    /// Idempotent: a repeat is `Stale`, and reading again shows it done.
    pub async fn update_ticket(&self, ticket: &Ticket) -> Result<Write, Error> {
        Transaction::new("change a ticket").revise(ticket)?.commit(self).await
    }

    /// Has the entry of a ticket wait, with the answer to what told it: whoever dies leaves both or neither, so that
    /// nobody is told of an entry that no ticket has, and none is taken up of which nobody knows who told it.
    ///
    /// Writes: TICKET if `rev` is the one seen (absent if none was); DELIVERY if absent or not final.
    /// Idempotent: a repeat is `Stale`, and reading again shows that it waits.
    pub async fn record_with_ticket(&self, delivery: &Delivery, ticket: &Ticket) -> Result<Write, Error> {
        Transaction::new("have an entry wait").revise(ticket)?.put(delivery, unless_final())?.commit(self).await
    }

    /// Writes a new ticket with its text, its ledger entry and the job that it gets, if it gets one: whoever dies
    /// leaves all of it or nothing.
    ///
    /// Writes: TICKET if absent; TEXT beside it, whatever an event of a ticket tool that was cut short
    /// may have left there; DELIVERY and JOB if absent; BUDGET if the day has as much left; IDEMPOTENCY if absent or
    /// expired.
    /// Idempotent: by the ticket's key; a repeat is `Stale`, and the caller's key shows what was answered.
    pub async fn create_ticket(&self, written: &Written<'_>) -> Result<Write, Error> {
        let Written { ticket, text, delivery, job, charge, request } = written;
        let key = key::ticket_text(&ticket.project, &ticket.key);
        let mut item = blob::pack(&key, text)?;
        item.insert("seen_at".into(), number(ticket.seen_at.millis()));
        let own = Condition::of("attribute_not_exists(pk) OR pk = :pk").value(":pk", string(key.pk));
        let mut transaction = Transaction::new("write a ticket").revise(*ticket)?.put_item(item, own);
        transaction = transaction.put(*delivery, Condition::absent())?;
        if let Some(job) = job {
            transaction = transaction.revise(*job)?;
        }
        if let Some(charge) = charge {
            transaction = budget::charge(transaction, charge);
        }
        if let Some(request) = request {
            transaction = remember(transaction, request, "delivery", delivery.id.as_str());
        }
        transaction.commit(self).await
    }

    /// Replaces a ticket's text by a change of what was read, with its ledger entry.
    ///
    /// Writes: TEXT if it is the write that was read, or absent if none was; DELIVERY if absent or not final;
    /// IDEMPOTENCY if absent or expired.
    /// Idempotent: by the write that was read; a repeat is `Stale`, and the caller's key shows what was answered.
    pub async fn replace_text(&self, edited: &Edited<'_>) -> Result<Write, Error> {
        let Edited { project, ticket, text, seen, delivery, request } = edited;
        let mut item = blob::pack(&key::ticket_text(project, ticket), text)?;
        // The tool's next text is newer than this one, whatever its clock says.
        item.insert("seen_at".into(), number(0));
        let condition = match seen {
            None => Condition::absent(),
            Some(seen) => {
                Condition::of("#mark = :read").name("#mark", mark::ATTRIBUTE).value(":read", string(&seen.written_by))
            }
        };
        let mut transaction = Transaction::new("change a ticket's text").put_item(item, condition);
        transaction = transaction.put(*delivery, unless_final())?;
        if let Some(request) = request {
            transaction = remember(transaction, request, "delivery", delivery.id.as_str());
        }
        transaction.commit(self).await
    }
}
