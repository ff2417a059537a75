//! Queues scripted outcomes of RunTask, for tests of a caller's handling of failed starts.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunTaskOutcome {
    Start,
    ResourceMemory,
    /// 200 with the failure "Capacity is unavailable at this time…".
    CapacityUnavailable,
    Throttled,
    /// `InvalidParameterException` "Rate exceeded", another form of throttling.
    RateExceeded,
    Failure(&'static str),
    Exception(&'static str, &'static str),
    /// The task is created but stays PENDING until it is stopped.
    StaysPending,
    /// The task starts, but the connection closes without a response.
    ResponseLost,
}

#[derive(Debug, Default)]
pub(super) struct Script(Mutex<VecDeque<RunTaskOutcome>>);

impl Script {
    pub(super) fn extend(&self, outcomes: Vec<RunTaskOutcome>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(outcomes);
    }

    pub(super) fn next(&self) -> RunTaskOutcome {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or(RunTaskOutcome::Start)
    }
}
