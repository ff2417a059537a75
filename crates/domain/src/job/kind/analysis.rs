//! Summarises the open pull requests and issues of a repository, and changes nothing.

use super::{AgentWrites, KindSpec, Publishes};
use crate::agent::files::OUTPUT_FILE;

pub(super) const SPEC: KindSpec = KindSpec {
    label: "Analysis",
    title_prefix: "",
    answers_reviews: false,
    moves_ticket_unstarted: true,
    side_files: &[OUTPUT_FILE],
    writes: AgentWrites::OutputFile,
    publishes: Publishes::Nothing,
    checkout: false,
};
