//! Writes the rests of hosts and the looks at tickets.

use crate::transaction::Transaction;
use crate::{Error, Store, Write};
use pullyard_domain::text::host::HostRest;
use pullyard_domain::ticket::look::TicketLook;

impl Store {
    /// Writes: HOST if `rev` is the one seen (absent if new).
    pub async fn put_host_rest(&self, rest: &HostRest) -> Result<Write, Error> {
        Transaction::new("store a host's rest").revise(rest)?.commit(self).await
    }

    /// Writes: LOOK if `rev` is the one seen (absent if new).
    pub async fn put_ticket_look(&self, look: &TicketLook) -> Result<Write, Error> {
        Transaction::new("store the look at a ticket").revise(look)?.commit(self).await
    }
}
