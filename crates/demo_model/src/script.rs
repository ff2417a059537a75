//! The script: a queue of steps, of which each request to the model consumes one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::{answer::Answer, refusal::Refusal};

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Answer(Answer),
    Refuse(Refusal),
    Reset,
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
    steps: Mutex<ScriptState>,
}

#[derive(Debug, Default)]
struct ScriptState {
    queue: VecDeque<Step>,
    repeating_step: Option<Step>,
}

impl Script {
    pub(crate) fn add(&self, steps: impl IntoIterator<Item = Step>) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).queue.extend(steps);
    }

    pub(crate) fn set_repeating_step(&self, step: Step) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).repeating_step = Some(step);
    }

    pub(crate) fn next(&self) -> Option<Step> {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.queue.pop_front().or_else(|| steps.repeating_step.clone())
    }
}
