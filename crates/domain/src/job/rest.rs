//! Suspended jobs: a user paused the job, or its agent asked a question.
//!
//! | status | pause | continue | input, or an answer to a question | its runner yields |
//! |---|---|---|---|---|
//! | Pending | rejected | a repeat | stored | – |
//! | Ready | Paused at once | a repeat | stored | – |
//! | Claimed, Preparing | requested from the runner | withdraws the pause | stored | Paused |
//! | Executing | requested from the runner | withdraws the pause | sent to the runner | Paused, AwaitingInput |
//! | Syncing | requested; a successful push wins | withdraws the pause | stored | Paused, without a push |
//! | AwaitingInput | rejected: suspended already | rejected: needs an answer | Ready | – |
//! | Paused | a repeat | Ready | Ready | – |
//!
//! The users' request is a level, not a message. If a runner yields for a pause that was withdrawn, the job becomes
//! Ready. If a question was just answered, or a newer input exists before a push, the runner is refused and the agent
//! continues. A suspended job holds no slot, and stores the session for its next attempt.
//!
//! The texts of inputs are separate table items.

use super::transition::{End, Fence, NotNow};
use super::{Cancel, EndedBy, Job, Status, Want};
use crate::failure::Failure;
use crate::id::{FinishId, JobId, RunnerId};
use crate::text::{Span, clipped, clipped_lines};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest stored question. Units: characters.
pub const LONGEST_QUESTION: usize = 2_000;

/// Longest input. Units: characters.
pub const LONGEST_INPUT: usize = 10_000;

pub const MOST_INPUTS: u32 = 200;

/// How long a suspended job waits for its earlier runner before other runners may claim it.
pub const PREFERRED_FOR: Duration = Duration::from_secs(30);

/// Longest stored name. Units: characters.
const LONGEST_NAME: usize = 48;

/// Longest session id. Units: characters.
const LONGEST_SESSION: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub by: String,
    /// When it was requested; in a Paused job, when it became Paused.
    pub at: Timestamp,
}

impl Pause {
    pub fn new(by: &str, at: Timestamp) -> Self {
        Self { by: clipped(by, LONGEST_NAME), at }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub text: String,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub agent: String,
    /// The agent's own id of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The self-hosted runner that has its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
    pub attempt: u32,
    /// How many of the job's inputs it has read.
    #[serde(default)]
    pub inputs: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    Asks {
        question: String,
    },
    /// A user requested a pause.
    Pauses,
}

/// A runner's report when it yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yielded {
    /// Chosen by the runner, so that a repeat gets the same answer.
    pub id: FinishId,
    pub rest: Rest,
    pub agent: Option<String>,
    pub session: Option<String>,
    /// How many of the job's inputs the agent has read.
    pub inputs: u32,
}

/// A user's message to a job's agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub job: JobId,
    /// Counted from 1.
    pub seq: u32,
    pub by: String,
    pub at: Timestamp,
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The sender's idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Session {
    /// Creates a session with cut texts and no read inputs.
    pub(super) fn new(agent: &str, id: Option<&str>, runner: Option<RunnerId>, attempt: u32) -> Self {
        let id = id.map(|id| clipped(id, LONGEST_SESSION));
        Self { agent: clipped(agent, LONGEST_NAME), id, runner, attempt, inputs: 0 }
    }
}

impl Job {
    /// Pauses the job for a user. Without an attempt it pauses at once; otherwise its runner is requested to stop.
    ///
    /// `Already`: it is paused, or will be. `Unwanted`: it is being cancelled. `Status`: it cannot be paused in this
    /// status.
    pub fn paused(&self, pause: Pause, now: Timestamp) -> Result<Self, NotNow> {
        match self.status {
            Status::Paused => Err(NotNow::Already),
            Status::Pending | Status::AwaitingInput | Status::Completed | Status::Failed | Status::Cancelled => {
                Err(NotNow::Status(self.status))
            }
            _ if self.want == Want::Cancel => Err(NotNow::Unwanted),
            _ if self.want == Want::Pause => Err(NotNow::Already),
            Status::Ready => {
                let mut job = self.clone();
                job.stands_still(Status::Paused, now);
                job.pause = Some(Pause { at: now, ..pause });
                Ok(job)
            }
            Status::Claimed | Status::Preparing | Status::Executing | Status::Syncing => {
                let mut job = self.clone();
                job.want = Want::Pause;
                job.pause = Some(pause);
                Ok(job)
            }
        }
    }

    /// Continues the job for a user. `Already`: it is not paused.
    pub fn continued(&self, now: Timestamp) -> Result<Self, NotNow> {
        match self.status {
            Status::Paused => Ok(self.goes_on(now)),
            Status::AwaitingInput => Err(NotNow::Status(self.status)),
            status if status.is_terminal() => Err(NotNow::Status(status)),
            _ if self.want == Want::Cancel => Err(NotNow::Unwanted),
            _ if self.want == Want::Pause => {
                let mut job = self.clone();
                job.want = Want::Run;
                job.pause = None;
                Ok(job)
            }
            _ => Err(NotNow::Already),
        }
    }

    /// Counts a user's input. A suspended job becomes Ready.
    ///
    /// `TooMany`: the job has [`MOST_INPUTS`] inputs.
    pub fn told(&self, now: Timestamp) -> Result<Self, NotNow> {
        if self.status.is_terminal() {
            return Err(NotNow::Status(self.status));
        }
        if self.want == Want::Cancel {
            return Err(NotNow::Unwanted);
        }
        if self.inputs >= MOST_INPUTS {
            return Err(NotNow::TooMany);
        }
        let stands = matches!(self.status, Status::AwaitingInput | Status::Paused);
        let mut job = if stands { self.goes_on(now) } else { self.clone() };
        job.inputs += 1;
        Ok(job)
    }

    /// The input that [`Job::told`] counted.
    pub fn input(&self, by: &str, text: &str, key: Option<String>, now: Timestamp) -> Input {
        Input {
            job: self.id.clone(),
            seq: self.inputs + 1,
            by: clipped(by, LONGEST_NAME),
            at: now,
            text: clipped_lines(text, LONGEST_INPUT),
            question: self.question.as_ref().map(|question| question.text.clone()),
            key,
        }
    }

    /// Suspends the job at the request of its runner.
    ///
    /// A job with a requested cancel is cancelled. A job whose pause was withdrawn becomes Ready. `NewerInput`: an
    /// input may answer the question already, so the agent must continue.
    pub fn yielded(&self, fence: &Fence, yielded: &Yielded, now: Timestamp) -> Result<Self, NotNow> {
        let known = self.ended_by.as_ref();
        if known.is_some_and(|by| by.finish.as_ref() == Some(&yielded.id) && by.attempt == fence.attempt) {
            return Err(NotNow::Already);
        }
        let runner = self.held_by(fence)?.runner.clone();
        let question = match &yielded.rest {
            Rest::Asks { question } if self.status == Status::Executing => Some(question),
            Rest::Asks { .. } => return Err(NotNow::Status(self.status)),
            // Also allowed from Syncing: a repeated request to push may arrive after the pause was withdrawn. A runner
            // that yields never pushes, even if the push was granted later.
            Rest::Pauses => None,
        };
        if self.want == Want::Cancel {
            return Ok(self.ended(End::Cancelled, Some(yielded.id.clone()), now));
        }
        if question.is_some() && yielded.inputs < self.inputs {
            return Err(NotNow::NewerInput);
        }
        let mut job = match (question, self.want) {
            (None, Want::Run) => self.goes_on(now),
            _ => self.clone(),
        };
        match question {
            Some(question) => {
                job.stands_still(Status::AwaitingInput, now);
                job.pause = None;
                job.question = Some(Question { text: clipped_lines(question, LONGEST_QUESTION), at: now });
            }
            None if self.want == Want::Pause => job.pauses_now(now),
            None => {}
        }
        job.hears_up_to(yielded.inputs);
        if let Some(agent) = &yielded.agent {
            let session = Session::new(agent, yielded.session.as_deref(), runner, self.attempt);
            job.session = Some(Session { inputs: yielded.inputs.min(self.inputs), ..session });
        }
        job.ended_by = Some(EndedBy { attempt: self.attempt, finish: Some(yielded.id.clone()) });
        Ok(job)
    }

    /// Ends a job that was suspended too long: AwaitingInput fails, Paused is cancelled.
    pub fn expired(&self, now: Timestamp) -> Result<Self, NotNow> {
        let Some(until) = self.rests_until() else { return Err(NotNow::Status(self.status)) };
        if now < until {
            return Err(NotNow::NotBefore(until));
        }
        let limit = Span::from(self.policy.rest_at_most());
        if self.status == Status::AwaitingInput {
            return Ok(self.ended(End::Failed(Failure::InputTimeout { limit }, None), None, now));
        }
        let reason = format!("it was not continued for {}", limit);
        let mut job = self.ended(End::Cancelled, None, now);
        job.cancel = Some(Cancel::new("Pullyard", Some(&reason), now));
        Ok(job)
    }

    /// When its suspension expires.
    pub fn rests_until(&self) -> Option<Timestamp> {
        let since = match self.status {
            Status::AwaitingInput => self.question.as_ref().map(|question| question.at),
            Status::Paused => self.pause.as_ref().map(|pause| pause.at),
            _ => return None,
        };
        // If the start is missing, count from the creation; without a due time the job would never end.
        Some(since.unwrap_or(self.created).plus(self.policy.rest_at_most()))
    }

    /// Whether this runner may claim it now. A suspended job is reserved for its earlier runner for a while, because
    /// that runner has a copy of the repository.
    pub fn is_left_to(&self, runner: &RunnerId, now: Timestamp) -> bool {
        let keeper = self.session.as_ref().and_then(|session| session.runner.as_ref());
        keeper.is_none_or(|keeper| keeper == runner || now >= self.ready_since.plus(PREFERRED_FOR))
    }

    /// Pauses a job that no attempt holds any more.
    pub(super) fn pauses_now(&mut self, now: Timestamp) {
        self.stands_still(Status::Paused, now);
        if let Some(pause) = &mut self.pause {
            pause.at = now;
        }
    }

    fn stands_still(&mut self, status: Status, now: Timestamp) {
        if self.run.is_some() {
            self.leaves_its_attempt(now);
        } else if self.dispatch.starting {
            // A starting task may no longer claim, even if the job is continued before it does.
            self.dispatch.buries_its_task();
            self.dispatch.starting = false;
        }
        self.status = status;
        self.want = Want::Run;
        self.went_on();
    }

    fn goes_on(&self, now: Timestamp) -> Self {
        let mut job = self.clone();
        if job.run.is_some() {
            job.leaves_its_attempt(now);
        }
        job.status = Status::Ready;
        job.want = Want::Run;
        job.pause = None;
        job.question = None;
        // The count of model troubles begins again.
        job.model = None;
        job.ready_since = now;
        job.dispatch.fault = None;
        job.dispatch.due = now;
        job.went_on();
        job
    }
}

#[cfg(test)]
mod tests;
