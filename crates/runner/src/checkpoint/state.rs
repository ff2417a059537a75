//! Facts about an attempt for its checkpoint, once an agent is about to work.

use crate::agent::agent_event::Tokens;
use crate::git::target::Target;
use crate::git::workspace::mirror::Mirror;
use pullyard_domain::job::AgentReport;
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct CheckpointState(Mutex<Option<CheckpointFacts>>);

#[derive(Clone, Debug)]
pub(super) struct CheckpointFacts {
    pub(super) mirror: Mirror,
    pub(super) target: Target,
    /// The resumed session, the inputs that it had read, and its tokens. `None` once the session is lost.
    pub(super) resumed_session: Option<(String, u32, Tokens)>,
    pub(super) read_inputs: u32,
    /// Git's tree of the work, if written since the agent ended. Checks may have changed files since.
    pub(super) tree: Option<String>,
    pub(super) checkpoint_count: u32,
    /// The newest checkpoint that was handed in, if no agent has worked since.
    pub(super) newest_checkpoint: Option<String>,
}

impl CheckpointState {
    /// An agent is about to work.
    pub(crate) fn begin(&self, mirror: &Mirror, target: &Target, before: Option<(String, u32, Tokens)>) {
        let (mirror, target) = (mirror.clone(), target.clone());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(CheckpointFacts {
            mirror,
            target,
            resumed_session: before,
            read_inputs: 0,
            tree: None,
            checkpoint_count: 0,
            newest_checkpoint: None,
        });
    }

    /// The agent begins, with this many of the job's inputs in its prompt.
    pub(crate) fn begin_run(&self, inputs: u32) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            (known.read_inputs, known.tree, known.newest_checkpoint) = (inputs, None, None);
        }
    }

    /// The working agent has read the inputs up to this number.
    pub(crate) fn note_read_input(&self, input: u32) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.read_inputs = known.read_inputs.max(input);
        }
    }

    /// Forgets a session that no longer exists, so that the next attempt does not look for it.
    pub(crate) fn forget_session(&self, session: &str) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.resumed_session.take_if(|(before, ..)| before.as_str() == session);
        }
    }

    pub(crate) fn set_tree(&self, tree: &str) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.tree = Some(tree.to_owned());
        }
    }

    /// The tokens of the work's session in all attempts, including `tokens` of this one.
    pub(crate) fn session_tokens(&self, work: &AgentReport, tokens: Tokens) -> Tokens {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map_or_else(Tokens::default, |known| known.session_tokens(work, tokens))
    }

    pub(crate) fn session_inputs(&self, session: Option<&str>) -> u32 {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.map_or(0, |known| known.session_inputs(session))
    }

    pub(super) fn set_checkpoint(&self, name: String) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.newest_checkpoint = Some(name);
        }
    }

    pub(super) fn newest_checkpoint(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|known| known.newest_checkpoint.clone())
    }

    pub(super) fn next_checkpoint(&self) -> Option<CheckpointFacts> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_mut()?;
        known.checkpoint_count += 1;
        Some(known.clone())
    }
}

impl CheckpointFacts {
    /// A session whose id was never reported has not read its prompt.
    pub(super) fn session_inputs(&self, session: Option<&str>) -> u32 {
        match (session, &self.resumed_session) {
            (None, Some((_, read, _))) => *read,
            (None, None) => 0,
            (Some(_), _) => self.read_inputs,
        }
    }

    pub(super) fn session_tokens(&self, work: &AgentReport, mut tokens: Tokens) -> Tokens {
        if let Some((session, _, used)) = &self.resumed_session
            && work.session.as_ref().is_none_or(|now| now == session)
        {
            tokens += *used;
        }
        tokens
    }
}
