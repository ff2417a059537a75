//! Issues of GitHub, with a label for each status.

use super::TrackerSpec;

pub(super) const SPEC: TrackerSpec =
    TrackerSpec { label: "GitHub Issues", ledger_phrase: "Event of", is_external: true };
