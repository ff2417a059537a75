//! The built-in board.

use super::TrackerSpec;

pub(super) const SPEC: TrackerSpec =
    TrackerSpec { label: "Board", ledger_phrase: "Move or edit of", is_external: false };
