//! Reading the reviews of a Pending job from the forge.
//! An unavailable forge or its rate limit only delays the job. It fails after a permanent error or a day.

use super::transition::WAKE_TIMEOUT;
use super::{Job, JobStatus, TransitionRefusal};
use crate::text::failure::Failure;
use crate::text::time::Timestamp;
use crate::text::truncate;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub const CONTEXT_TIMEOUT: Duration = Duration::from_secs(24 * 3_600);

/// When the sweeper reads a new job's review, in case its wake-up was lost.
const FIRST_TRY_AFTER: Duration = Duration::from_secs(30);

/// Minimum time for the wake-up of an admitted job to arrive, before the sweeper sends another.
const MIN_WAKE_DELAY: Duration = Duration::from_secs(10);

/// How long a job waits for the text of its reviews. On Bitbucket a verdict has no text, and comments may follow.
const REVIEW_TEXT_TIMEOUT: Duration = Duration::from_secs(15 * 60);

const REVIEW_TEXT_INTERVAL: Duration = Duration::from_secs(60);

const MAX_BACKOFF: Duration = Duration::from_secs(30 * 60);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextWait {
    pub tries: u32,
    pub next: Timestamp,
    pub fault: Option<ContextFault>,
}

impl ContextWait {
    pub fn new(now: Timestamp) -> Self {
        Self { tries: 0, next: now.plus(FIRST_TRY_AFTER), fault: None }
    }
}

/// When a newly admitted job is swept: if possible at the Pending job's due time, as a new one moves an index row.
fn wake_deadline(waits: Option<&ContextWait>, now: Timestamp) -> Timestamp {
    let (soonest, latest) = (now.plus(MIN_WAKE_DELAY), now.plus(WAKE_TIMEOUT));
    waits.map(|waits| waits.next).filter(|next| (soonest..=latest).contains(next)).unwrap_or(latest)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum ContextFault {
    Away {
        reason: String,
    },
    RateLimited {
        until: Timestamp,
    },
    /// None of the reviews has a text yet.
    Silent {
        until: Timestamp,
    },
}

impl Job {
    pub fn admit(&self, context: String, head: &str, now: Timestamp) -> Result<Self, TransitionRefusal> {
        if self.status != JobStatus::Pending {
            return Err(TransitionRefusal::WrongStatus(self.status));
        }
        let mut job = self.clone();
        job.status = JobStatus::Ready;
        job.waits = None;
        job.context = context;
        if let Some(revises) = &mut job.revises {
            revises.head = head.to_owned();
        }
        job.ready_since = now;
        job.dispatch.due = wake_deadline(self.waits.as_ref(), now);
        job.tries = 0;
        job.not_before = None;
        Ok(job)
    }

    /// Makes the job Pending, so that unanswered reviews of the pull request that it continues are read first.
    pub fn await_reviews(self, now: Timestamp) -> Self {
        Self { status: JobStatus::Pending, waits: Some(ContextWait::new(now)), ..self }
    }

    /// Records that the context could not be read: it is retried later, or the job fails after a day.
    pub fn record_context_fault(&self, fault: ContextFault, now: Timestamp) -> Result<Self, TransitionRefusal> {
        let Some(waits) = self.waits.as_ref().filter(|_| self.status == JobStatus::Pending) else {
            return Err(TransitionRefusal::WrongStatus(self.status));
        };
        let tries = match fault {
            // The forge answered, so the next pause does not grow.
            ContextFault::Silent { .. } => waits.tries.max(1),
            ContextFault::Away { .. } | ContextFault::RateLimited { .. } => waits.tries.saturating_add(1),
        };
        if now.since(self.created) >= CONTEXT_TIMEOUT {
            return self.fail(self.context_failure(tries), now);
        }
        let pause = Duration::from_secs(10u64.saturating_mul(1 << waits.tries.min(10))).min(MAX_BACKOFF);
        let next = match &fault {
            ContextFault::RateLimited { until } => now.plus(Duration::from_secs(10)).max(*until),
            ContextFault::Away { .. } => now.plus(pause),
            ContextFault::Silent { until } => now.plus(REVIEW_TEXT_INTERVAL).min(*until),
        };
        let fault = match fault {
            ContextFault::Away { reason } => ContextFault::Away { reason: truncate(&reason, 120) },
            other => other,
        };
        Ok(Self { waits: Some(ContextWait { tries, next, fault: Some(fault) }), ..self.clone() })
    }

    /// The fault while the job's reviews have no text. `submitted_at`: when the last review was submitted. `None`: the
    /// wait is over.
    /// A wrong clock of the forge cannot extend the wait, which begins at the job's creation at the latest. Only
    /// revisions wait; other jobs have work without the text.
    pub fn missing_text_fault(&self, submitted_at: Timestamp, now: Timestamp) -> Option<ContextFault> {
        let until = submitted_at.min(self.created).plus(REVIEW_TEXT_TIMEOUT);
        (self.answers_reviews() && now < until).then_some(ContextFault::Silent { until })
    }

    pub fn context_failure(&self, tries: u32) -> Failure {
        Failure::ContextUnavailable { forge: self.integration.clone(), n: u64::from(tries) }
    }
}

#[cfg(test)]
mod tests;
