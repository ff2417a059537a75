//! Facts about an attempt for its checkpoint, once an agent is about to work.

use crate::agent::sign::Tokens;
use crate::git::target::Target;
use crate::git::workspace::mirror::Mirror;
use pullyard_domain::job::AgentReport;
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct Working(Mutex<Option<Known>>);

#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) mirror: Mirror,
    pub(super) target: Target,
    /// The resumed session, the inputs that it had read, and its tokens. `None` once the session is lost.
    pub(super) before: Option<(String, u32, Tokens)>,
    pub(super) told: u32,
    /// Git's tree of the work, if written since the agent ended. Checks may have changed files since.
    pub(super) tree: Option<String>,
    pub(super) made: u32,
    /// The newest checkpoint that was handed in, if no agent has worked since.
    pub(super) kept: Option<String>,
}

impl Working {
    /// An agent is about to work.
    pub(crate) fn begins(&self, mirror: &Mirror, target: &Target, before: Option<(String, u32, Tokens)>) {
        let (mirror, target) = (mirror.clone(), target.clone());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Known { mirror, target, before, told: 0, tree: None, made: 0, kept: None });
    }

    /// The agent begins, with this many of the job's inputs in its prompt.
    pub(crate) fn tells(&self, inputs: u32) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            (known.told, known.tree, known.kept) = (inputs, None, None);
        }
    }

    /// The working agent has read the inputs up to this number.
    pub(crate) fn hears(&self, input: u32) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.told = known.told.max(input);
        }
    }

    /// Forgets a session that no longer exists, so that the next attempt does not look for it.
    pub(crate) fn loses(&self, session: &str) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.before.take_if(|(before, ..)| before.as_str() == session);
        }
    }

    pub(crate) fn made(&self, tree: &str) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.tree = Some(tree.to_owned());
        }
    }

    /// The tokens of the work's session in all attempts, including `tokens` of this one.
    pub(crate) fn used(&self, work: &AgentReport, tokens: Tokens) -> Tokens {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map_or_else(Tokens::default, |known| known.used(work, tokens))
    }

    pub(crate) fn read(&self, session: Option<&str>) -> u32 {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.map_or(0, |known| known.read(session))
    }

    pub(super) fn keeps(&self, name: String) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.kept = Some(name);
        }
    }

    pub(super) fn kept(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|known| known.kept.clone())
    }

    pub(super) fn next(&self) -> Option<Known> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_mut()?;
        known.made += 1;
        Some(known.clone())
    }
}

impl Known {
    /// A session whose id was never reported has not read its prompt.
    pub(super) fn read(&self, session: Option<&str>) -> u32 {
        match (session, &self.before) {
            (None, Some((_, read, _))) => *read,
            (None, None) => 0,
            (Some(_), _) => self.told,
        }
    }

    pub(super) fn used(&self, work: &AgentReport, mut tokens: Tokens) -> Tokens {
        if let Some((session, _, used)) = &self.before
            && work.session.as_ref().is_none_or(|now| now == session)
        {
            tokens += *used;
        }
        tokens
    }
}
