//! Answers a question about the repository, and changes nothing.

use super::{AgentWrites, KindSpec, Publishes};
use crate::agent::files::{OUTPUT_FILE, QUESTION_FILE};

pub(super) const SPEC: KindSpec = KindSpec {
    label: "Read",
    title_prefix: "",
    answers_reviews: false,
    moves_ticket_unstarted: true,
    side_files: &[QUESTION_FILE, OUTPUT_FILE],
    writes: AgentWrites::OutputFile,
    publishes: Publishes::Nothing,
    checkout: true,
};
