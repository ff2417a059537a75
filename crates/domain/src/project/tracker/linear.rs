//! Linear.

use super::TrackerSpec;

pub(super) const SPEC: TrackerSpec = TrackerSpec { label: "Linear", ledger_phrase: "Event of", is_external: true };
