//! Events of ticket tools and the board, independent of the wire format.

use crate::delivery::Source;
use crate::id::{EventId, ProjectId, RepositoryName, TicketKey};
use crate::ticket::Entry;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketEvent {
    pub source: Source,
    pub project: ProjectId,
    /// The sender's id of the event. A repeat has the same id.
    pub event: EventId,
    /// Time of the event by the ticket tool's clock. Only compared with other times of that clock.
    pub occurred_at: Timestamp,
    pub actor: Option<String>,
    /// The earlier status according to the sender. Recorded, but not used for decisions.
    pub previous_status: Option<String>,
    pub key: TicketKey,
    pub status: String,
    /// The text after the event; `None` if the event only contains the status.
    pub text: Option<TicketText>,
    /// The new place in the column; `None` leaves it. Only the board sends one.
    pub rank: Option<i64>,
}

impl TicketEvent {
    pub fn entry(&self) -> Entry {
        Entry { at: self.occurred_at, event: self.event.clone() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketText {
    pub title: String,
    pub description: String,
    pub labels: BTreeSet<String>,
    pub url: Option<String>,
    pub repository: Option<RepositoryName>,
}

impl TicketText {
    /// The labels that a runner must have, trimmed as in its configuration. No runner can have an empty label.
    pub fn runner_labels(&self) -> BTreeSet<String> {
        let labels = self.labels.iter().filter_map(|label| label.strip_prefix("runner:"));
        labels.map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runner_labels_come_from_prefixed_labels() {
        let labels =
            ["runner:gpu", "bug", "xrunner:eu", "runner:", "runner: ", "runner: arm "].map(str::to_owned).into();
        let text = TicketText { labels, ..TicketText::default() };
        assert_eq!(text.runner_labels(), BTreeSet::from(["arm", "gpu"].map(str::to_owned)));
    }
}
