//! Jobs that stand still: a person paused the job, or its agent asked something.
//!
//! | status | pause | continue | input, an answer for one | its runner yields |
//! |---|---|---|---|---|
//! | Pending | refused | a repeat | kept | – |
//! | Ready | Paused at once | a repeat | kept | – |
//! | Claimed, Preparing | asks its runner | takes the pause back | kept | Paused |
//! | Executing | asks its runner | takes the pause back | told to its runner | Paused, AwaitingInput |
//! | Syncing | asks; a push that succeeds beats it | takes the pause back | kept | Paused: it pushes nothing |
//! | AwaitingInput | refused: it stands still | refused: it waits for an answer | Ready | – |
//! | Paused | a repeat | Ready | Ready | – |
//!
//! What people want is a level, not a message. A runner that yields for a pause that was taken back puts the job
//! back. A runner that asks a question that was just answered, or pushes although a new input exists, is refused and
//! goes on. A job that stands still holds no slot; the job keeps the session for its next attempt.
//!
//! Each input is an item of its own; the texts are not here.

use super::transition::{End, Fence, NotNow};
use super::{Cancel, EndedBy, Job, Status, Want};
use crate::failure::Failure;
use crate::id::{FinishId, JobId, RunnerId};
use crate::text::{Span, clipped, clipped_lines};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest question that is kept. Units: characters.
pub const LONGEST_QUESTION: usize = 2_000;

/// Longest input. Units: characters.
pub const LONGEST_INPUT: usize = 10_000;

/// Most inputs of one job.
pub const MOST_INPUTS: u32 = 200;

/// How long a job that began on a runner waits for that runner before others may take it.
pub const PREFERRED_FOR: Duration = Duration::from_secs(30);

/// Longest name that is kept. Units: characters.
const LONGEST_NAME: usize = 48;

/// Longest session id. Units: characters.
const LONGEST_SESSION: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub by: String,
    /// When it was requested, or since when it stands still.
    pub at: Timestamp,
}

impl Pause {
    /// Cuts the reason.
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
    /// The agent's id of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The self-hosted runner that has its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
    /// The last attempt of the session.
    pub attempt: u32,
    /// How many of the job's inputs it has read.
    #[serde(default)]
    pub inputs: u32,
}

/// Why a runner yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    Asks {
        question: String,
    },
    /// A user wants a pause.
    Pauses,
}

/// A runner's report when it yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yielded {
    /// Chosen by the runner, so that a repeat gets the same answer.
    pub id: FinishId,
    pub rest: Rest,
    pub agent: Option<String>,
    /// The agent's id of its session.
    pub session: Option<String>,
    /// How many of the job's inputs the agent has read.
    pub inputs: u32,
}

/// A message of a person to a job's agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub job: JobId,
    /// Its number, from 1.
    pub seq: u32,
    pub by: String,
    pub at: Timestamp,
    pub text: String,
    /// The question that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The sender's key, so that a repeat is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Session {
    /// Cuts the texts, for an attempt that has not reported what it read.
    pub(super) fn new(agent: &str, id: Option<&str>, runner: Option<RunnerId>, attempt: u32) -> Self {
        let id = id.map(|id| clipped(id, LONGEST_SESSION));
        Self { agent: clipped(agent, LONGEST_NAME), id, runner, attempt, inputs: 0 }
    }
}

impl Job {
    /// A user pauses the job. Without an attempt it pauses at once; otherwise its runner is asked to stop.
    ///
    /// `Already`: it pauses or is paused. `Unwanted`: it is to end. `Status`: it cannot be paused there.
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

    /// A user continues the job. `Already`: it is not paused.
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

    /// A user sends an input. A job that stands still continues with it.
    ///
    /// `TooMany`: the job takes no more inputs.
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

    /// The runner with this fence yields.
    ///
    /// A job that is to end is cancelled. A job whose pause was taken back becomes Ready. `NewerInput`: the question may be
    /// answered already, so the agent goes on.
    pub fn yielded(&self, fence: &Fence, yielded: &Yielded, now: Timestamp) -> Result<Self, NotNow> {
        let known = self.ended_by.as_ref();
        if known.is_some_and(|by| by.finish.as_ref() == Some(&yielded.id) && by.attempt == fence.attempt) {
            return Err(NotNow::Already);
        }
        let runner = self.held_by(fence)?.runner.clone();
        let question = match &yielded.rest {
            Rest::Asks { question } if self.status == Status::Executing => Some(question),
            Rest::Asks { .. } => return Err(NotNow::Status(self.status)),
            // Also from Syncing: a repeated request to push may arrive after the pause was taken back. A runner that yields
            // pushes nothing, whatever was granted since.
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
            // The count cannot exceed the inputs.
            job.session = Some(Session { inputs: yielded.inputs.min(self.inputs), ..session });
        }
        job.ended_by = Some(EndedBy { attempt: self.attempt, finish: Some(yielded.id.clone()) });
        Ok(job)
    }

    /// Nobody answered or continued it in time.
    pub fn expired(&self, now: Timestamp) -> Result<Self, NotNow> {
        let Some(until) = self.rests_until() else { return Err(NotNow::Status(self.status)) };
        if now < until {
            return Err(NotNow::NotBefore(until));
        }
        let limit = Span::from(self.policy.rest_at_most());
        if self.status == Status::AwaitingInput {
            return Ok(self.ended(End::Failed(Failure::InputTimeout { limit }, None), None, now));
        }
        let reason = format!("nobody continued it for {}", limit);
        let mut job = self.ended(End::Cancelled, None, now);
        job.cancel = Some(Cancel::new("Pullyard", Some(&reason), now));
        Ok(job)
    }

    /// When it stops standing still.
    pub fn rests_until(&self) -> Option<Timestamp> {
        let since = match self.status {
            Status::AwaitingInput => self.question.as_ref().map(|question| question.at),
            Status::Paused => self.pause.as_ref().map(|pause| pause.at),
            _ => return None,
        };
        // A job without the time of its pause counts as new; otherwise it would be forgotten.
        Some(since.unwrap_or(self.created).plus(self.policy.rest_at_most()))
    }

    /// Whether this runner may take it now. A job is left for a while to the runner that began it, because that runner has a
    /// copy of the repository.
    pub fn is_left_to(&self, runner: &RunnerId, now: Timestamp) -> bool {
        let keeper = self.session.as_ref().and_then(|session| session.runner.as_ref());
        keeper.is_none_or(|keeper| keeper == runner || now >= self.ready_since.plus(PREFERRED_FOR))
    }

    /// It becomes paused, because no attempt holds it.
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
            // A task that is starting comes too late, even if the job is continued before.
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
        // A new count begins.
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
