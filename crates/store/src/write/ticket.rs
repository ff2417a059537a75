//! A ticket changes without a job being made or ended.

use crate::transaction::Transaction;
use crate::{Error, Store, Write};
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
}
