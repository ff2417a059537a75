//! Does the work of a ticket or a prompt, as a pull request.

use super::{AgentWrites, KindSpec, Publishes};
use crate::agent::files::{INPUT_FOLDER, OUTPUT_FILE, QUESTION_FILE};

pub(super) const SPEC: KindSpec = KindSpec {
    label: "Job",
    title_prefix: "",
    answers_reviews: false,
    moves_ticket_unstarted: true,
    side_files: &[QUESTION_FILE, OUTPUT_FILE, INPUT_FOLDER],
    writes: AgentWrites::Tree,
    publishes: Publishes::Change,
    checkout: true,
};
