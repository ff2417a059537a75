//! What is known of an attempt for its checkpoint.

use crate::agent::sign::Tokens;
use crate::git::target::Target;
use crate::git::workspace::mirror::Mirror;
use pullyard_domain::job::Work;
use std::sync::{Mutex, PoisonError};

/// What is to be known of an attempt for its checkpoint, once an agent is about to work.
#[derive(Debug, Default)]
pub(crate) struct Working(Mutex<Option<Known>>);

#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) mirror: Mirror,
    pub(super) target: Target,
    /// The session that was taken up, how much it had read and used; none once it is lost.
    pub(super) before: Option<(String, u32, Tokens)>,
    pub(super) told: u32,
    /// Git's tree of the work, where it was written down since the agent ended: checks may have changed files.
    pub(super) tree: Option<String>,
    pub(super) made: u32,
    /// The name of the newest that was handed in, if nobody has worked since.
    pub(super) kept: Option<String>,
}

impl Working {
    /// An agent is about to work, on what earlier ones left.
    pub(crate) fn begins(&self, mirror: &Mirror, target: &Target, before: Option<(String, u32, Tokens)>) {
        let (mirror, target) = (mirror.clone(), target.clone());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Known { mirror, target, before, told: 0, tree: None, made: 0, kept: None });
    }

    /// It begins, and is told so many of the job's inputs.
    pub(crate) fn tells(&self, inputs: u32) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            (known.told, known.tree, known.kept) = (inputs, None, None);
        }
    }

    /// While it worked, it heard what people said up to this input.
    pub(crate) fn hears(&self, input: u32) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.told = known.told.max(input);
        }
    }

    /// This session is not there any more: the next attempt would look for it in vain.
    pub(crate) fn loses(&self, session: &str) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.before.take_if(|(before, ..)| before.as_str() == session);
        }
    }

    /// It has ended, and this is git's tree of what it made.
    pub(crate) fn made(&self, tree: &str) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.tree = Some(tree.to_owned());
        }
    }

    /// What the session of this work has used in all attempts; in this one so many tokens.
    pub(crate) fn used(&self, work: &Work, tokens: Tokens) -> Tokens {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map_or_else(Tokens::default, |known| known.used(work, tokens))
    }

    /// How many inputs the session has read of which an agent told.
    pub(crate) fn read(&self, session: Option<&str>) -> u32 {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.map_or(0, |known| known.read(session))
    }

    /// A checkpoint of it was handed in under this name.
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
    /// One that did not come to say its name has not read what it was told.
    pub(super) fn read(&self, session: Option<&str>) -> u32 {
        match (session, &self.before) {
            (None, Some((_, read, _))) => *read,
            (None, None) => 0,
            (Some(_), _) => self.told,
        }
    }

    pub(super) fn used(&self, work: &Work, mut tokens: Tokens) -> Tokens {
        if let Some((session, _, used)) = &self.before
            && work.session.as_ref().is_none_or(|now| now == session)
        {
            tokens += *used;
        }
        tokens
    }
}
