//! The result of the agent's work: commit, checks, replies, notes and output.

use crate::agent::AgentChoice;
use crate::checkpoint::content::FinishedWork;
use crate::job::checks::{CheckResults, Rounds};
use crate::publish::replies::AgentReplies;
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::review::published::work_notes::WorkNotes;

#[derive(Default)]
pub(crate) struct WorkResult {
    /// Empty if the tree is unchanged, and the step may change nothing.
    pub(crate) commit: String,
    /// `None` if an earlier attempt made the commit.
    pub(super) tree: Option<String>,
    pub(super) rounds: Rounds,
    pub(super) round: u32,
    pub(crate) replies: AgentReplies,
    pub(crate) results: CheckResults,
    pub(crate) notes: WorkNotes,
    /// `Some` for a step that reports.
    pub(crate) output: Option<JobOutput>,
    /// The last message of an agent that worked in an earlier attempt.
    pub(crate) earlier_summary: Option<String>,
    /// Finished work of an earlier attempt, with the output that belongs to the commit.
    pub(crate) is_earlier: bool,
}

impl WorkResult {
    pub(crate) fn from_adopted_commit(commit: &str) -> Self {
        Self { commit: commit.to_owned(), ..Self::default() }
    }

    pub(crate) fn from_finished_work(
        commit: String,
        results: CheckResults,
        replies: AgentReplies,
        work: &FinishedWork,
    ) -> Self {
        let (notes, earlier_summary) = (work.notes.clone(), work.summary.clone());
        Self { commit, results, replies, notes, earlier_summary, is_earlier: true, ..Self::default() }
    }

    /// Whether new messages lead to another round, because the agent can read them.
    pub(crate) fn accepts_new_inputs(&self, agent: &AgentChoice) -> bool {
        self.tree.is_some() && agent.has_sessions()
    }
}
