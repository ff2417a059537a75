//! A job that stands still and has not ended: a person paused it, or its agent asked something.
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
//! What people want is a level, not a message: a runner that yields for a pause which was taken back meanwhile
//! puts its job back, and one that asks what was answered meanwhile, or pushes what was spoken to meanwhile, is
//! refused and goes on. Whoever stands still holds no slot, and what the next attempt can go on with is kept on the
//! job.
//!
//! The texts themselves are not here: each input is an item of its own.

use super::transition::{End, Fence, NotNow};
use super::{Cancel, EndedBy, Job, Status, Want};
use crate::failure::Failure;
use crate::id::{FinishId, JobId, RunnerId};
use crate::text::{Span, clipped, clipped_lines};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most of a question that is kept. Units: characters.
pub const LONGEST_QUESTION: usize = 2_000;

/// The most of an input that is taken. Units: characters.
pub const LONGEST_INPUT: usize = 10_000;

/// How many inputs one job takes.
pub const MOST_INPUTS: u32 = 200;

/// How long a job that was begun on a runner is left to that runner before others may take it.
pub const PREFERRED_FOR: Duration = Duration::from_secs(30);

/// The most of a name that is kept. Units: characters.
const LONGEST_NAME: usize = 48;

/// The most of an agent's own id of a session. Units: characters.
const LONGEST_SESSION: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub by: String,
    /// When they asked for it; once it stands still, since when it does.
    pub at: Timestamp,
}

impl Pause {
    /// Cut to what a job keeps.
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
    /// The agent's own id of its session, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The self-hosted runner that keeps its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
    /// The attempt that it was last part of.
    pub attempt: u32,
    /// How many of the job's inputs it has read.
    #[serde(default)]
    pub inputs: u32,
}

/// Why a runner gives its job back before its work is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    Asks {
        question: String,
    },
    /// The job's people want it to pause.
    Pauses,
}

/// What a runner says when it gives its job back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yielded {
    /// Chosen by the runner, so that a repeat gets the same answer.
    pub id: FinishId,
    pub rest: Rest,
    pub agent: Option<String>,
    /// The agent's own id of its session.
    pub session: Option<String>,
    /// How many of the job's inputs the agent has read.
    pub inputs: u32,
}

/// Something that a person said to a job's agent.
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
    /// What its sender calls it, so that a repeat is a repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Session {
    /// Cut to what a job keeps, of an attempt that has not said what it read.
    pub(super) fn new(agent: &str, id: Option<&str>, runner: Option<RunnerId>, attempt: u32) -> Self {
        let id = id.map(|id| clipped(id, LONGEST_SESSION));
        Self { agent: clipped(agent, LONGEST_NAME), id, runner, attempt, inputs: 0 }
    }
}

impl Job {
    /// Somebody wants it to pause. One that nobody holds pauses here; one that is held is to be stopped.
    ///
    /// `Already`: that is wanted, or so. `Unwanted`: it is to end. `Status`: it can't be paused there.
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

    /// Somebody wants it to go on. `Already`: nobody wants anything else of it.
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

    /// Somebody says something to its agent: one that stands still goes on with it.
    ///
    /// `TooMany`: it takes no more.
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

    /// The runner of the fence gives its job back before its work is done.
    ///
    /// One that its people want to end has ended by that; one that pauses though nobody wants it any more is
    /// Ready again. `NewerInput`: what it asks may be answered, and it goes on.
    pub fn yielded(&self, fence: &Fence, yielded: &Yielded, now: Timestamp) -> Result<Self, NotNow> {
        let known = self.ended_by.as_ref();
        if known.is_some_and(|by| by.finish.as_ref() == Some(&yielded.id) && by.attempt == fence.attempt) {
            return Err(NotNow::Already);
        }
        let runner = self.held_by(fence)?.runner.clone();
        let question = match &yielded.rest {
            Rest::Asks { question } if self.status == Status::Executing => Some(question),
            Rest::Asks { .. } => return Err(NotNow::Status(self.status)),
            // From Syncing as well: a repeat of its asking to push may come late, once the pause that it was told of is
            // taken back. Who gives its job back pushes nothing, whatever was granted since.
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
            // Nobody has read what nobody has said.
            job.session = Some(Session { inputs: yielded.inputs.min(self.inputs), ..session });
        }
        job.ended_by = Some(EndedBy { attempt: self.attempt, finish: Some(yielded.id.clone()) });
        Ok(job)
    }

    /// Nobody answered or continued it in time: somebody else ends it.
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

    /// Until when it stands still, if it does.
    pub fn rests_until(&self) -> Option<Timestamp> {
        let since = match self.status {
            Status::AwaitingInput => self.question.as_ref().map(|question| question.at),
            Status::Paused => self.pause.as_ref().map(|pause| pause.at),
            _ => return None,
        };
        // One that lost what it waits for is looked at as if it had just been made: it would be forgotten otherwise.
        Some(since.unwrap_or(self.created).plus(self.policy.rest_at_most()))
    }

    /// Whether this runner may take it now: what was begun elsewhere is left for a while to whoever began it, whose
    /// copy of the repository is warm. What it left can be gone on from anywhere.
    pub fn is_left_to(&self, runner: &RunnerId, now: Timestamp) -> bool {
        let keeper = self.session.as_ref().and_then(|session| session.runner.as_ref());
        keeper.is_none_or(|keeper| keeper == runner || now >= self.ready_since.plus(PREFERRED_FOR))
    }

    /// Its people want it to pause, and nobody holds it any more.
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
            // The task that is on its way comes too late, also when the job goes on before it comes.
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
        // Whoever says that it goes on begins the count anew.
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
