//! Any tool that sends ticket events over HTTP.

use super::TrackerSpec;

pub(super) const SPEC: TrackerSpec = TrackerSpec { label: "Ticket tool", ledger_phrase: "Event of", is_external: true };
