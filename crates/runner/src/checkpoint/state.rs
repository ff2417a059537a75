//! Collects facts about an attempt for its checkpoint, from the moment when its agent starts.

use super::content::{CheckpointMetadata, FinishedWork};
use crate::agent::agent_event::Tokens;
use crate::git::target::Target;
use pullyard_domain::agent::checks::CheckRun;
use pullyard_domain::job::AgentReport;
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::review::published::work_notes::WorkNotes;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The file of the finished work has at most 1 MiB.
const MAX_NOTES_BYTES: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct CheckpointState(Mutex<Option<CheckpointFacts>>);

#[derive(Clone, Debug)]
pub(super) struct CheckpointFacts {
    pub(super) target: Target,
    /// `None` once the session is lost.
    pub(super) resumed_session: Option<RestoredSession>,
    pub(super) read_inputs: u32,
    pub(super) tree: Option<String>,
    /// The work whose commit was created, also if an earlier attempt created it and this one only publishes it.
    pub(super) finished: Option<FinishedWork>,
    pub(super) carried: Option<CarriedCheckpoint>,
    pub(super) checkpoint_count: u32,
    /// Whether a checkpoint was queued, and no agent has worked since.
    has_checkpoint: bool,
}

/// An unpacked checkpoint of an earlier attempt, which becomes the checkpoint of this one.
#[derive(Clone, Debug)]
pub(super) struct CarriedCheckpoint {
    pub(super) folder: PathBuf,
    pub(super) metadata: CheckpointMetadata,
}

/// The session of an earlier attempt that this one resumes.
#[derive(Clone, Debug)]
pub(crate) struct RestoredSession {
    pub(crate) id: String,
    pub(crate) read_inputs: u32,
    pub(crate) tokens: Tokens,
    pub(crate) former_worktree: String,
    pub(crate) same_task: bool,
}

impl CheckpointState {
    pub(crate) fn begin(&self, target: &Target, resumed_session: Option<RestoredSession>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(CheckpointFacts {
            target: target.clone(),
            resumed_session,
            read_inputs: 0,
            tree: None,
            finished: None,
            carried: None,
            checkpoint_count: 0,
            has_checkpoint: false,
        });
    }

    pub(crate) fn begin_run(&self, inputs: u32) {
        self.update(|facts| {
            (facts.read_inputs, facts.tree, facts.has_checkpoint) = (inputs, None, false);
            (facts.finished, facts.carried) = (None, None);
        });
    }

    /// Notes that the commit of this tree exists, so that only its publication is left.
    pub(crate) fn set_finished(&self, tree: &str, checks: &[CheckRun], notes: &WorkNotes, output: Option<&JobOutput>) {
        self.update(|facts| {
            let (tree, read) = (tree.to_owned(), facts.read_inputs);
            let (checks, notes, output) = (checks.to_vec(), limit_notes(notes), output.cloned());
            facts.finished = Some(FinishedWork { tree, read, checks, summary: None, notes, output });
        });
    }

    /// Whether a checkpoint has all that a retry needs to publish the work without an agent.
    pub(crate) fn has_finished_work(&self) -> bool {
        self.update(|facts| facts.finished.is_some() || facts.carried.is_some()).unwrap_or(false)
    }

    pub(super) fn carry(&self, carried: CarriedCheckpoint) {
        self.update(|facts| facts.carried = Some(carried));
    }

    pub(crate) fn note_read_input(&self, input: u32) {
        self.update(|facts| facts.read_inputs = facts.read_inputs.max(input));
    }

    pub(crate) fn forget_session(&self, session: &str) {
        self.update(|facts| facts.resumed_session.take_if(|resumed| resumed.id == session));
    }

    pub(crate) fn set_tree(&self, tree: &str) {
        self.update(|facts| facts.tree = Some(tree.to_owned()));
    }

    /// The tokens of the work's session in all attempts, including `tokens` of this one.
    pub(crate) fn session_tokens(&self, work: &AgentReport, tokens: Tokens) -> Tokens {
        self.update(|facts| facts.session_tokens(work, tokens)).unwrap_or_default()
    }

    pub(crate) fn session_inputs(&self, session: Option<&str>) -> u32 {
        self.update(|facts| facts.session_inputs(session)).unwrap_or(0)
    }

    pub(super) fn note_checkpoint(&self) {
        self.update(|facts| facts.has_checkpoint = true);
    }

    pub(super) fn has_checkpoint(&self) -> bool {
        self.update(|facts| facts.has_checkpoint).unwrap_or(false)
    }

    pub(super) fn next_checkpoint(&self) -> Option<CheckpointFacts> {
        self.update(|facts| {
            facts.checkpoint_count += 1;
            facts.clone()
        })
    }

    fn update<T>(&self, change: impl FnOnce(&mut CheckpointFacts) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(change)
    }
}

impl CheckpointFacts {
    /// A session whose id was never reported has not read its prompt.
    pub(super) fn session_inputs(&self, session: Option<&str>) -> u32 {
        match (session, &self.resumed_session) {
            (None, Some(resumed)) => resumed.read_inputs,
            (None, None) => 0,
            (Some(_), _) => self.read_inputs,
        }
    }

    pub(super) fn session_tokens(&self, work: &AgentReport, mut tokens: Tokens) -> Tokens {
        if let Some(resumed) = &self.resumed_session
            && work.session.as_ref().is_none_or(|id| *id == resumed.id)
        {
            tokens += resumed.tokens;
        }
        tokens
    }
}

/// Without notes that are too long, because the publication of the work matters more.
fn limit_notes(notes: &WorkNotes) -> WorkNotes {
    let is_short = serde_json::to_vec(notes).is_ok_and(|json| json.len() <= MAX_NOTES_BYTES);
    if is_short { notes.clone() } else { WorkNotes::default() }
}
