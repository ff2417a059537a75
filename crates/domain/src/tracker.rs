//! Ticket tools: one row states how the events of a tool differ from those of others.

mod board;
mod http;

use crate::delivery::Source;

#[derive(Clone, Copy, Debug)]
pub struct TrackerSpec {
    /// The name that users see.
    pub label: &'static str,
    /// Begins the line of an event in the list of decisions; the ticket's key follows.
    pub ledger_phrase: &'static str,
    /// Another program has the ticket: its clock may differ, it sends Pullyard's own writes as events, and it may have
    /// statuses that the project has not.
    pub is_external: bool,
}

impl Source {
    /// The name that users see.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Board => board::SPEC.label,
            Self::TicketTool => http::SPEC.label,
            Self::Person => "Person",
            Self::Webhook => "Webhook",
            Self::Poll => "Poll",
            Self::Automatic => "Setting",
            Self::Schedule => "Schedule",
        }
    }

    /// The row of the ticket tool; `None` if the delivery is not of one.
    pub const fn tracker(self) -> Option<&'static TrackerSpec> {
        match self {
            Self::Board => Some(&board::SPEC),
            Self::TicketTool => Some(&http::SPEC),
            Self::Person | Self::Webhook | Self::Poll | Self::Automatic | Self::Schedule => None,
        }
    }

    /// Whether ticket events of this source need the checks for another program's events.
    pub(crate) fn is_external(self) -> bool {
        self.tracker().is_none_or(|tracker| tracker.is_external)
    }
}
