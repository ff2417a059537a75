//! Jira Cloud.

use super::{Badges, TrackerSpec};

pub(super) const SPEC: TrackerSpec = TrackerSpec { label: "Jira", ledger_phrase: "Event of", is_external: true };

pub(super) fn badges() -> Badges {
    Badges { failed: "ai-failed".into(), waiting: "ai-waiting".into() }
}
