//! Scripted answers of RunTask, for tests of what callers do when a start fails.
//!
//! Owns the queue of outcomes; the answers themselves are made where RunTask is answered.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The task starts, as without a script.
    Start,
    /// 200 with the failure `RESOURCE:MEMORY`.
    ResourceMemory,
    /// 200 with the failure "Capacity is unavailable at this time…".
    CapacityUnavailable,
    /// `ThrottlingException`.
    Throttled,
    /// `InvalidParameterException` "Rate exceeded", the other face of throttling.
    RateExceeded,
    /// 200 with this failure, and no task.
    Failure(&'static str),
    /// An error of this code with these words.
    Exception(&'static str, &'static str),
    /// The task is answered, and stays PENDING until somebody stops it.
    NeverStarts,
    /// The task starts, but the connection closes without an answer.
    AnswerLost,
}

#[derive(Debug, Default)]
pub(super) struct Script(Mutex<VecDeque<Outcome>>);

impl Script {
    pub(super) fn extend(&self, outcomes: Vec<Outcome>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(outcomes);
    }

    /// The outcome of the call being answered.
    pub(super) fn next(&self) -> Outcome {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or(Outcome::Start)
    }
}
