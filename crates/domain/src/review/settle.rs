//! Decides about waiting reviews once their ticket has no active job.
//! The guards run again for the newest review. Then one job covers all reviews, or they wait on, or all are refused.

use super::guard::{self, ReviewFacts, next_revision_at};
use super::{RequestedAction, Review, ReviewState, resolve_absorbed};
use crate::project::spending::SpendingFact;
use crate::text::decision::Reason;
use crate::text::id::{JobId, ReviewId};
use crate::text::time::Timestamp;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// No review waits any more. Only the mark on the ticket must be removed.
    Skip,
    /// The newest review absorbs the older ones first.
    Absorb {
        into: ReviewId,
        /// Oldest first, at most [`MAX_ABSORBED`].
        older: Vec<ReviewId>,
    },
    /// The newest review gets the job for all.
    Start {
        review: ReviewId,
        job: JobId,
    },
    Wait {
        opens_at: Timestamp,
    },
    Hold,
    /// All are refused, including absorbed reviews.
    Refuse {
        /// Refused last: as long as it waits, the others are found again.
        newest: ReviewId,
        others: Vec<ReviewId>,
        reason: Reason,
    },
}

/// Time between two looks at a limit whose rest running jobs have reserved. Reviews that wait already go on waiting,
/// because a refusal is final.
const RESERVED_WAIT: Duration = Duration::from_secs(600);

/// Limit per transaction.
pub const MAX_ABSORBED: usize = 25;

pub fn newest_review<'a>(waiting: &[&'a Review]) -> Option<&'a Review> {
    waiting.iter().copied().max_by_key(|review| (review.submitted_at, review.at, review.id.clone()))
}

/// The waiting reviews that this call may settle, and all that they absorbed. `all` is the pull request's.
pub fn reviews_to_settle(all: &[Review], is_ours: impl Fn(&Review) -> bool) -> Vec<&Review> {
    all.iter()
        .filter(|review| {
            let stands_for_it = resolve_absorbed(review, all);
            stands_for_it.state == ReviewState::Deferred {} && is_ours(stands_for_it)
        })
        .collect()
}

/// The kind of request for the whole group: a user's request overrides guards for all reviews, even if absorbed.
pub fn combined_action(pending: &[&Review]) -> RequestedAction {
    match pending.iter().any(|review| review.request.is_some()) {
        true => RequestedAction::Revision { message: None },
        false => RequestedAction::Changes {},
    }
}

/// `facts` describe the newest waiting review with the [`combined_action`]. Its permission counts as granted.
pub fn settle(facts: &ReviewFacts, pending: &[&Review]) -> Settlement {
    let waiting: Vec<&Review> =
        pending.iter().copied().filter(|review| review.state == ReviewState::Deferred {}).collect();
    let Some(newest) = newest_review(&waiting) else { return Settlement::Skip };
    let others = |reviews: &[&Review]| {
        let mut others: Vec<&Review> = reviews.iter().copied().filter(|review| review.id != newest.id).collect();
        others.sort_by_key(|review| (review.submitted_at, review.at, review.id.clone()));
        others.into_iter().map(|review| review.id.clone()).collect::<Vec<_>>()
    };
    let refuse = |reason| Settlement::Refuse { newest: newest.id.clone(), others: others(pending), reason };
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
    let has_active_job = facts.ticket.as_ref().is_some_and(|ticket| ticket.active_job.is_some());
    if has_active_job || guard::rate_limited(facts).is_some() {
        return Settlement::Wait { opens_at: next_revision_at(facts) };
    }
    if guard::project_held(facts).or_else(|| guard::budget_exhausted(facts)).is_some() {
        return Settlement::Hold;
    }
    if let Some(reason) = guard::ticket_limit(facts) {
        return match facts.spending.as_ref().is_some_and(SpendingFact::is_only_reserved) {
            true => Settlement::Wait { opens_at: facts.now.plus(RESERVED_WAIT) },
            false => refuse(reason),
        };
    }
    let mut older = others(&waiting);
    if older.is_empty() {
        return Settlement::Start { review: newest.id.clone(), job: newest.next_job_id() };
    }
    older.truncate(MAX_ABSORBED);
    Settlement::Absorb { into: newest.id.clone(), older }
}

#[cfg(test)]
mod tests;
