//! Defines the items of hosts that rest, and of looks at tickets.

use super::Item;
use crate::key::{self, Key};
use pullyard_domain::text::host::HostRest;
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::look::TicketLook;

impl Item for HostRest {
    fn key(&self) -> Key {
        key::host(&self.host)
    }
    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.forgotten_at())
    }
}

impl Item for TicketLook {
    fn key(&self) -> Key {
        key::ticket_look(&self.project, &self.ticket)
    }
    fn expires_at(&self) -> Option<Timestamp> {
        Some(TicketLook::expires_at(self))
    }
}
