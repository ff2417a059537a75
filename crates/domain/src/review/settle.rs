//! What becomes of the reviews that waited, once their ticket is free.
//!
//! The guards are asked again of the newest of them. One job covers them all, at the newest head; or they
//! go on waiting; or they get their last answer, and nobody wonders where they went.

use super::Review;
use super::guard::{self, ReviewFacts, opens_at};
use crate::decision::Reason;
use crate::id::{JobId, ReviewId};
use crate::time::Timestamp;

/// What becomes of the reviews that waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// None of them waits any more: only the ticket's mark is left to take off.
    Nothing,
    /// The older ones are absorbed by the newest first.
    Absorb {
        /// The newest.
        into: ReviewId,
        /// The older ones, oldest first, at most [`MOST_ABSORBED`].
        older: Vec<ReviewId>,
    },
    /// The newest, which stands for all now, gets its job.
    Start {
        /// The review.
        review: ReviewId,
        /// The job.
        job: JobId,
    },
    /// They wait on.
    Wait {
        /// Until then.
        opens_at: Timestamp,
    },
    /// They wait until their project may start jobs again.
    Hold,
    /// Each of them gets its last answer.
    Refuse {
        /// Which.
        reviews: Vec<ReviewId>,
        /// The answer.
        reason: Reason,
    },
}

/// How many reviews one transaction absorbs.
pub const MOST_ABSORBED: usize = 25;

/// The newest of the reviews that wait: it stands for the others.
pub fn newest(waiting: &[Review]) -> Option<&Review> {
    waiting.iter().max_by_key(|review| (review.submitted_at, review.at, review.id.clone()))
}

/// Decides what becomes of `waiting`: all reviews of the pull request that are deferred. `facts` are of the
/// newest of them, with its permission granted: that was asked before it was remembered. If any of them is
/// a person's request, `facts.asks` is that.
pub fn settle(facts: &ReviewFacts, waiting: &[Review]) -> Settlement {
    let Some(newest) = newest(waiting) else { return Settlement::Nothing };
    let refuse =
        |reason| Settlement::Refuse { reviews: waiting.iter().map(|review| review.id.clone()).collect(), reason };
    let lasting = [
        guard::repository_not_integrated,
        guard::pull_request_closed,
        guard::retrigger_disabled,
        guard::no_linked_ticket,
        guard::ticket_inactive,
        guard::previous_job_not_completed,
    ];
    if let Some(reason) = lasting.iter().find_map(|guard| guard(facts)) {
        return refuse(reason);
    }
    if facts.ticket.as_ref().is_some_and(|ticket| ticket.active_job.is_some()) {
        return Settlement::Wait { opens_at: opens_at(facts) };
    }
    if guard::rate_limited(facts).is_some() {
        return Settlement::Wait { opens_at: opens_at(facts) };
    }
    if guard::project_held(facts).or_else(|| guard::budget_exhausted(facts)).is_some() {
        return Settlement::Hold;
    }
    let mut older: Vec<&Review> = waiting.iter().filter(|review| review.id != newest.id).collect();
    older.sort_by_key(|review| (review.submitted_at, review.at, review.id.clone()));
    if older.is_empty() {
        let job = JobId::of_review(&newest.pull_request, &newest.id);
        return Settlement::Start { review: newest.id.clone(), job };
    }
    let older = older.into_iter().take(MOST_ABSORBED).map(|review| review.id.clone()).collect();
    Settlement::Absorb { into: newest.id.clone(), older }
}

#[cfg(test)]
mod tests;
