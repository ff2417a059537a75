//! A job whose review is still being read from its forge, and what becomes of it.
//!
//! A forge that is away or asks us to slow down costs time, not the job and not the hour: only an answer
//! that will not change, or a whole day without one, ends it.

use super::transition::WAKE_WITHIN;
use super::{Job, Kind, NotNow, Status};
use crate::failure::Failure;
use crate::text::clipped;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a review is tried to be read.
pub const READ_CONTEXT_FOR: Duration = Duration::from_secs(24 * 3_600);

/// How long after its making a job is read by the sweeper, should its wake-up be lost.
const FIRST_TRY: Duration = Duration::from_secs(30);

/// The least that a wake-up of an admitted job is given to arrive, before the sweeper sends another.
const WAKE_AT_LEAST: Duration = Duration::from_secs(10);

/// How long a job waits for the words of reviews that have none: on Bitbucket a verdict has none, and comments may come
/// after it.
const WORDS_WITHIN: Duration = Duration::from_secs(15 * 60);

/// How often it is looked for them.
const WORDS_EVERY: Duration = Duration::from_secs(60);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

/// How far reading a review from the forge is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextWait {
    pub tries: u32,
    pub next: Timestamp,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<ContextFault>,
}

impl ContextWait {
    pub fn fresh(now: Timestamp) -> Self {
        Self { tries: 0, next: now.plus(FIRST_TRY), fault: None }
    }
}

/// By when a job that was just admitted is to be started. The row that it has while it is Pending serves for
/// that as well, if it leaves the wake-up time enough: moving a row costs two write units.
fn wake_by(waits: Option<&ContextWait>, now: Timestamp) -> Timestamp {
    let (soonest, latest) = (now.plus(WAKE_AT_LEAST), now.plus(WAKE_WITHIN));
    waits.map(|waits| waits.next).filter(|next| (soonest..=latest).contains(next)).unwrap_or(latest)
}

/// Why a review could not be read this time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum ContextFault {
    /// The forge did not answer, or with an error of its own.
    Away { reason: String },
    /// The forge asks us to wait.
    RateLimited { until: Timestamp },
    /// None of its reviews has a word yet.
    Silent { until: Timestamp },
}

impl Job {
    /// Its context is frozen: anyone who may run it can take it now.
    pub fn admitted(&self, context: String, head: &str, now: Timestamp) -> Result<Self, NotNow> {
        if self.status != Status::Pending {
            return Err(NotNow::Status(self.status));
        }
        let mut job = self.clone();
        job.status = Status::Ready;
        job.waits = None;
        job.context = context;
        if let Some(revises) = &mut job.revises {
            revises.head = head.to_owned();
        }
        job.ready_since = now;
        job.dispatch.due = wake_by(self.waits.as_ref(), now);
        job.tries = 0;
        job.not_before = None;
        Ok(job)
    }

    /// Nobody answered reviews of the pull request that it goes on with: they are read first.
    pub fn with_reviews(self, now: Timestamp) -> Self {
        Self { status: Status::Pending, waits: Some(ContextWait::fresh(now)), ..self }
    }

    /// Its context could not be read this time: it is tried again later, or given up after a day.
    pub fn context_failed(&self, fault: ContextFault, now: Timestamp) -> Result<Self, NotNow> {
        let Some(waits) = self.waits.as_ref().filter(|_| self.status == Status::Pending) else {
            return Err(NotNow::Status(self.status));
        };
        let tries = match fault {
            // It answered, and its next pause is no longer for that.
            ContextFault::Silent { .. } => waits.tries.max(1),
            ContextFault::Away { .. } | ContextFault::RateLimited { .. } => waits.tries.saturating_add(1),
        };
        if now.since(self.created) >= READ_CONTEXT_FOR {
            return self.given_up(self.context_unavailable(tries), now);
        }
        let pause = Duration::from_secs(10u64.saturating_mul(1 << waits.tries.min(10))).min(LONGEST_PAUSE);
        let next = match &fault {
            ContextFault::RateLimited { until } => now.plus(Duration::from_secs(10)).max(*until),
            ContextFault::Away { .. } => now.plus(pause),
            ContextFault::Silent { until } => now.plus(WORDS_EVERY).min(*until),
        };
        let fault = match fault {
            ContextFault::Away { reason } => ContextFault::Away { reason: clipped(&reason, 120) },
            other => other,
        };
        Ok(Self { waits: Some(ContextWait { tries, next, fault: Some(fault) }), ..self.clone() })
    }

    /// What is so with it where none of its reviews has a word, the last of which was submitted at `asked`. None: their
    /// words had their time.
    ///
    /// The forge's clock makes that no longer than from its making. A job that can do its work without them does not wait.
    pub fn silent(&self, asked: Timestamp, now: Timestamp) -> Option<ContextFault> {
        let until = asked.min(self.created).plus(WORDS_WITHIN);
        (self.kind == Kind::Revise && now < until).then_some(ContextFault::Silent { until })
    }

    /// What it fails with when its review can't be read.
    pub fn context_unavailable(&self, tries: u32) -> Failure {
        Failure::ContextUnavailable { forge: self.integration.clone(), n: u64::from(tries) }
    }
}

#[cfg(test)]
mod tests;
