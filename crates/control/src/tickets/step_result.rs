//! The result of one step of settling a ticket.

use pullyard_store::Write;

pub(crate) enum StepResult {
    Applied,
    /// The write to the tool failed; the other steps follow.
    Postponed,
    Waiting,
    Stale,
}

impl StepResult {
    pub(crate) fn from_write(write: Write) -> Self {
        if write == Write::Applied { Self::Applied } else { Self::Stale }
    }

    pub(crate) fn postponed_after(write: Write) -> Self {
        if write == Write::Applied { Self::Postponed } else { Self::Stale }
    }

    /// Waiting if the write was applied.
    pub(crate) fn waiting_after(write: Write) -> Self {
        if write == Write::Applied { Self::Waiting } else { Self::Stale }
    }
}
