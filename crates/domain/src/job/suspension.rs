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
//! The texts of inputs are separate table items.

use super::transition::{End, Fence, TransitionRefusal};
use super::{Cancel, DesiredState, Job, JobStatus, LastReport};
use crate::text::failure::Failure;
use crate::text::id::{FinishId, JobId, RunnerId};
use crate::text::time::Timestamp;
use crate::text::{Span, truncate, truncate_lines};
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub const MAX_QUESTION_CHARS: usize = 2_000;

pub const MAX_INPUT_CHARS: usize = 10_000;

pub const MAX_INPUTS: u32 = 200;

/// How long a suspended job waits for its earlier runner before other runners may claim it.
pub const RUNNER_AFFINITY: Duration = Duration::from_secs(30);

const MAX_NAME_CHARS: usize = 48;

const MAX_SESSION_CHARS: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub by: String,
    /// When it was requested; in a Paused job, when it became Paused.
    pub at: Timestamp,
}

impl Pause {
    pub fn new(by: &str, at: Timestamp) -> Self {
        Self { by: truncate(by, MAX_NAME_CHARS), at }
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
    pub id: Option<String>,
    pub runner: Option<RunnerId>,
    pub attempt: u32,
    pub inputs: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspension {
    Question { question: String },
    Pause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspendReport {
    /// Chosen by the runner, so that a repeat gets the same answer.
    pub id: FinishId,
    pub suspension: Suspension,
    pub agent: Option<String>,
    pub session: Option<String>,
    pub inputs: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub job: JobId,
    /// Counted from 1.
    pub seq: u32,
    pub by: String,
    pub at: Timestamp,
    pub text: String,
    pub question: Option<String>,
    pub key: Option<String>,
}

impl Session {
    /// Creates a session with cut texts and no read inputs.
    pub(super) fn new(agent: &str, id: Option<&str>, runner: Option<RunnerId>, attempt: u32) -> Self {
        let id = id.map(|id| truncate(id, MAX_SESSION_CHARS));
        Self { agent: truncate(agent, MAX_NAME_CHARS), id, runner, attempt, inputs: 0 }
    }
}

impl Job {
    /// Pauses the job for a user. Without an attempt it pauses at once; otherwise its runner is requested to stop.
    ///
    /// `AlreadyDone`: it is paused, or will be. `StopRequested`: it is being cancelled. `WrongStatus`: it can't pause.
    pub fn pause(&self, pause: Pause, now: Timestamp) -> Result<Self, TransitionRefusal> {
        match self.status {
            JobStatus::Paused => Err(TransitionRefusal::AlreadyDone),
            JobStatus::Pending
            | JobStatus::AwaitingInput
            | JobStatus::Completed
            | JobStatus::Failed
            | JobStatus::Cancelled => Err(TransitionRefusal::WrongStatus(self.status)),
            _ if self.want == DesiredState::Cancel => Err(TransitionRefusal::StopRequested),
            _ if self.want == DesiredState::Pause => Err(TransitionRefusal::AlreadyDone),
            JobStatus::Ready => {
                let mut job = self.clone();
                job.enter_suspended(JobStatus::Paused, now);
                job.pause = Some(Pause { at: now, ..pause });
                Ok(job)
            }
            JobStatus::Claimed | JobStatus::Preparing | JobStatus::Executing | JobStatus::Syncing => {
                Ok(Self { want: DesiredState::Pause, pause: Some(pause), ..self.clone() })
            }
        }
    }

    /// Continues the job for a user. `AlreadyDone`: it is not paused.
    pub fn resume(&self, now: Timestamp) -> Result<Self, TransitionRefusal> {
        match self.status {
            JobStatus::Paused => Ok(self.to_ready(now)),
            JobStatus::AwaitingInput => Err(TransitionRefusal::WrongStatus(self.status)),
            status if status.is_terminal() => Err(TransitionRefusal::WrongStatus(status)),
            _ if self.want == DesiredState::Cancel => Err(TransitionRefusal::StopRequested),
            _ if self.want == DesiredState::Pause => Ok(Self { want: DesiredState::Run, pause: None, ..self.clone() }),
            _ => Err(TransitionRefusal::AlreadyDone),
        }
    }

    /// Counts a user's input. A suspended job becomes Ready. `TooManyInputs`: the job has [`MAX_INPUTS`] inputs.
    pub fn resume_with_input(&self, now: Timestamp) -> Result<Self, TransitionRefusal> {
        if self.status.is_terminal() {
            return Err(TransitionRefusal::WrongStatus(self.status));
        }
        if self.want == DesiredState::Cancel {
            return Err(TransitionRefusal::StopRequested);
        }
        if self.inputs >= MAX_INPUTS {
            return Err(TransitionRefusal::TooManyInputs);
        }
        let is_suspended = self.status.is_suspended();
        let mut job = if is_suspended { self.to_ready(now) } else { self.clone() };
        job.inputs += 1;
        Ok(job)
    }

    /// The input that [`Job::resume_with_input`] counted.
    pub fn new_input(&self, by: &str, text: &str, key: Option<String>, now: Timestamp) -> Input {
        Input {
            job: self.id.clone(),
            seq: self.inputs + 1,
            by: truncate(by, MAX_NAME_CHARS),
            at: now,
            text: truncate_lines(text, MAX_INPUT_CHARS),
            question: self.question.as_ref().map(|question| question.text.clone()),
            key,
        }
    }

    /// Suspends the job at the request of its runner. A job with a requested cancel is cancelled. A job whose pause was
    /// withdrawn becomes Ready. `NewerInput`: an input may answer the question already, so the agent must continue.
    pub fn suspend(&self, fence: &Fence, report: &SuspendReport, now: Timestamp) -> Result<Self, TransitionRefusal> {
        self.check_new_report(fence, &report.id)?;
        let runner = self.check_fence(fence)?.runner.clone();
        let question = match &report.suspension {
            Suspension::Question { question } if self.status == JobStatus::Executing => Some(question),
            Suspension::Question { .. } => return Err(TransitionRefusal::WrongStatus(self.status)),
            // Also allowed from Syncing: a repeated request to push may arrive after the pause was withdrawn. A runner
            // that yields never pushes, even if the push was granted later.
            Suspension::Pause => None,
        };
        if self.want == DesiredState::Cancel {
            return Ok(self.end(End::Cancelled, Some(report.id.clone()), now));
        }
        if question.is_some() && report.inputs < self.inputs {
            return Err(TransitionRefusal::NewerInput);
        }
        let mut job = match (question, self.want) {
            (None, DesiredState::Run) => self.to_ready(now),
            _ => self.clone(),
        };
        match question {
            Some(question) => {
                job.enter_suspended(JobStatus::AwaitingInput, now);
                job.pause = None;
                job.question = Some(Question { text: truncate_lines(question, MAX_QUESTION_CHARS), at: now });
            }
            None if self.want == DesiredState::Pause => job.enter_paused(now),
            None => {}
        }
        job.raise_acked_inputs(report.inputs);
        if let Some(agent) = &report.agent {
            let session = Session::new(agent, report.session.as_deref(), runner, self.attempt);
            job.session = Some(Session { inputs: report.inputs.min(self.inputs), ..session });
        }
        job.ended_by = Some(LastReport { attempt: self.attempt, finish: Some(report.id.clone()) });
        Ok(job)
    }

    /// Ends a job that was suspended too long: AwaitingInput fails, Paused is cancelled.
    pub fn expire_suspension(&self, now: Timestamp) -> Result<Self, TransitionRefusal> {
        let Some(until) = self.suspended_until() else { return Err(TransitionRefusal::WrongStatus(self.status)) };
        if now < until {
            return Err(TransitionRefusal::NotBefore(until));
        }
        let limit = Span::from(self.policy.max_suspension());
        if self.status == JobStatus::AwaitingInput {
            return Ok(self.end(End::Failed(Failure::InputTimeout { limit }, None), None, now));
        }
        let reason = format!("it was not continued for {limit}");
        let mut job = self.end(End::Cancelled, None, now);
        job.cancel = Some(Cancel::new("Pullyard", Some(&reason), now));
        Ok(job)
    }

    pub fn suspended_until(&self) -> Option<Timestamp> {
        let since = match self.status {
            JobStatus::AwaitingInput => self.question.as_ref().map(|question| question.at),
            JobStatus::Paused => self.pause.as_ref().map(|pause| pause.at),
            _ => return None,
        };
        // If the start is missing, count from the creation; without a due time the job would never end.
        Some(since.unwrap_or(self.created).plus(self.policy.max_suspension()))
    }

    /// Whether this runner may claim it now. For a while, only its earlier runner, which has the repository, may do so.
    pub fn may_be_claimed_by(&self, runner: &RunnerId, now: Timestamp) -> bool {
        let earlier = self.session.as_ref().and_then(|session| session.runner.as_ref());
        earlier.is_none_or(|earlier| earlier == runner || now >= self.ready_since.plus(RUNNER_AFFINITY))
    }

    pub(super) fn enter_paused(&mut self, now: Timestamp) {
        self.enter_suspended(JobStatus::Paused, now);
        if let Some(pause) = &mut self.pause {
            pause.at = now;
        }
    }

    fn enter_suspended(&mut self, status: JobStatus, now: Timestamp) {
        if self.run.is_some() {
            self.clear_attempt(now);
        } else if self.dispatch.starting {
            // A starting task may no longer claim, even if the job is continued before it does.
            self.dispatch.reject_task();
            self.dispatch.starting = false;
        }
        self.status = status;
        self.want = DesiredState::Run;
        self.is_limited = false;
        self.reset_sweep_backoff();
    }

    fn to_ready(&self, now: Timestamp) -> Self {
        let mut job = self.clone();
        if job.run.is_some() {
            job.clear_attempt(now);
        }
        job.status = JobStatus::Ready;
        job.want = DesiredState::Run;
        job.pause = None;
        job.question = None;
        // The count of model faults begins again.
        job.model = None;
        job.ready_since = now;
        job.dispatch.fault = None;
        job.dispatch.due = now;
        job.reset_sweep_backoff();
        job
    }
}

#[cfg(test)]
mod tests;
