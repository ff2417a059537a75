//! Tickets.

use crate::item::blob;
use crate::{Error, Store, key};
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{ProjectId, TicketKey};
use pullyard_domain::ticket::Ticket;

impl Store {
    /// A ticket, read strongly.
    pub async fn ticket(&self, project: &ProjectId, ticket: &TicketKey) -> Result<Option<Ticket>, Error> {
        self.get(&key::ticket(project, ticket)).await
    }

    /// A ticket's text, read strongly.
    pub async fn ticket_text(&self, project: &ProjectId, ticket: &TicketKey) -> Result<Option<TicketText>, Error> {
        let key = key::ticket_text(project, ticket);
        self.get_attributes(&key).await?.map(|item| blob::unpack(&key, &item)).transpose()
    }
}
