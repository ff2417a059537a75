//! Reads the rests of hosts and the looks at tickets.

use crate::{Error, Store, key};
use pullyard_domain::text::host::HostRest;
use pullyard_domain::text::id::{ProjectId, TicketKey};
use pullyard_domain::ticket::look::TicketLook;

impl Store {
    pub async fn load_host_rest(&self, host: &str) -> Result<Option<HostRest>, Error> {
        self.load(&key::host(host)).await
    }

    pub async fn load_ticket_look(&self, project: &ProjectId, ticket: &TicketKey) -> Result<Option<TicketLook>, Error> {
        self.load(&key::ticket_look(project, ticket)).await
    }
}
