//! Events of ticket tools and the board, independent of the wire format.

use crate::project::{Priority, Source};
use crate::text::id::{EventId, ProjectId, RepositoryName, TicketKey};
use crate::text::time::Timestamp;
use crate::ticket::Entry;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketEvent {
    pub source: Source,
    pub project: ProjectId,
    /// The sender's id of the event. A repeat has the same id.
    pub event: EventId,
    /// Time of the event by the ticket tool's clock. Only compared with other times of that clock, except that a time
    /// in the future is replaced: see [`TicketEvent::with_plausible_time`].
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
    /// Whether Pullyard's own account in the tool, which no person shares, made the change.
    pub is_own: bool,
}

/// Difference from a tool's clock that is no fault. The order of its events counts within it.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);

impl TicketEvent {
    /// The event with the time at which it was first received, if its own time is further in the future. Otherwise all
    /// later events with correct times would be stale until then. Other times come from one clock and stay.
    pub fn with_plausible_time(&self, received_at: Timestamp) -> Cow<'_, Self> {
        match self.source.is_external() && self.occurred_at > received_at.plus(MAX_CLOCK_SKEW) {
            true => Cow::Owned(Self { occurred_at: received_at, ..self.clone() }),
            false => Cow::Borrowed(self),
        }
    }

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
        self.values("runner").filter(|label| !label.is_empty()).map(str::to_owned).collect()
    }

    /// The priority of the ticket's jobs, if a label such as `Priority: high` names one. High wins.
    pub fn priority(&self) -> Option<Priority> {
        let has =
            |priority: &Priority| self.values("priority").any(|value| value.eq_ignore_ascii_case(priority.as_str()));
        [Priority::High, Priority::Low].into_iter().find(has)
    }

    /// The values of labels such as `Runner: gpu`.
    fn values(&self, key: &'static str) -> impl Iterator<Item = &str> {
        let pairs = self.labels.iter().filter_map(|label| label.split_once(':'));
        pairs.filter(move |(name, _)| name.trim().eq_ignore_ascii_case(key)).map(|(_, value)| value.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{TRIGGER, event, time_at};

    #[test]
    fn time_in_the_future_becomes_the_time_of_receipt() {
        let check = |source, secs, expected| {
            let event = TicketEvent { source, ..event("e1", TRIGGER, secs) };
            assert_eq!(event.with_plausible_time(time_at(1_000)).occurred_at, time_at(expected), "{secs}");
        };
        for unchanged in [0, 1_000, 1_060] {
            check(Source::TicketTool, unchanged, unchanged);
        }
        check(Source::TicketTool, 1_061, 1_000);
        check(Source::TicketTool, 8_200, 1_000);
        // The board's time comes from this server, and must be later than the ticket's last event.
        check(Source::Board, 8_200, 8_200);
    }

    #[test]
    fn ticket_label_names_the_priority() {
        for (labels, expected) in [
            (&["priority:high", "bug"][..], Some(Priority::High)),
            (&["priority:low"], Some(Priority::Low)),
            (&["priority:low", "priority:high"], Some(Priority::High)),
            (&["Priority: High"], Some(Priority::High)),
            (&[" priority : low "], Some(Priority::Low)),
            (&["priority:urgent", "high", "priority", "my priority:high"], None),
        ] {
            let text = TicketText { labels: labels.iter().map(|it| it.to_string()).collect(), ..TicketText::default() };
            assert_eq!(text.priority(), expected, "{labels:?}");
        }
    }

    #[test]
    fn runner_labels_come_from_prefixed_labels() {
        let labels =
            ["runner:gpu", "bug", "xrunner:eu", "runner:", "runner: ", "runner: arm "].map(str::to_owned).into();
        let text = TicketText { labels, ..TicketText::default() };
        assert_eq!(text.runner_labels(), BTreeSet::from(["arm", "gpu"].map(str::to_owned)));
    }
}
