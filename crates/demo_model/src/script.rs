//! What is answered in which order. Every request for an answer takes the next step, whoever asks.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use crate::{answer::Answer, refusal::Refusal};

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Answer(Answer),
    Refuse(Refusal),
    /// The connection is reset before a byte of an answer.
    Reset,
    /// The request is taken, and nothing ever comes, not even a status.
    Hang,
}

impl From<Answer> for Step {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl From<Refusal> for Step {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Script {
    steps: Mutex<Steps>,
}

#[derive(Debug, Default)]
struct Steps {
    waiting: VecDeque<Step>,
    afterwards: Option<Step>,
}

impl Script {
    pub(crate) fn add(&self, steps: impl IntoIterator<Item = Step>) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).waiting.extend(steps);
    }

    pub(crate) fn keep(&self, step: Step) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).afterwards = Some(step);
    }

    /// The next step, or nothing when the script is used up.
    pub(crate) fn next(&self) -> Option<Step> {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.waiting.pop_front().or_else(|| steps.afterwards.clone())
    }

    pub(crate) fn left(&self) -> usize {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).waiting.len()
    }
}
