//! Reviews a pull request, fixes the findings, and posts one report.

use super::{AgentWrites, KindSpec, Publishes};
use crate::agent::files::PULLYARD_FOLDER;

pub(super) const SPEC: KindSpec = KindSpec {
    label: "Resolve",
    // A forge closes an issue whose address follows "Resolve" in a commit.
    title_prefix: "Revise ",
    answers_reviews: false,
    moves_ticket_unstarted: false,
    side_files: &[PULLYARD_FOLDER],
    writes: AgentWrites::Tree,
    publishes: Publishes::Change,
    checkout: true,
};
