//! Changes an open pull request according to its reviews.

use super::{AgentWrites, KindSpec, Publishes};
use crate::agent::files::{QUESTION_FILE, REPLIES_FILE};

pub(super) const SPEC: KindSpec = KindSpec {
    label: "Revision",
    title_prefix: "Revise ",
    answers_reviews: true,
    moves_ticket_unstarted: false,
    side_files: &[QUESTION_FILE, REPLIES_FILE],
    writes: AgentWrites::Tree,
    publishes: Publishes::Change,
    checkout: true,
};
