//! What becomes of the reviews that waited, once their ticket is free.
//!
//! The guards are asked again of the newest of them. One job covers them all, at the newest head; or they
//! go on waiting; or they get their last answer, and nobody wonders where they went.

use super::guard::{self, ReviewFacts, opens_at};
use super::{Asks, Review, ReviewState, resolved};
use crate::decision::Reason;
use crate::id::{JobId, ReviewId};
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// None of them waits any more: only the ticket's mark is left to take off.
    Nothing,
    /// The older ones are absorbed by the newest first.
    Absorb {
        into: ReviewId,
        /// The older ones, oldest first, at most [`MOST_ABSORBED`].
        older: Vec<ReviewId>,
    },
    /// The newest, which stands for all now, gets its job.
    Start {
        review: ReviewId,
        job: JobId,
    },
    Wait {
        opens_at: Timestamp,
    },
    /// They wait until their project may start jobs again.
    Hold,
    /// Each of them gets its last answer, and so does each that was absorbed by one of them.
    Refuse {
        /// The newest, the last to get it: while it waits, the others are still looked at.
        newest: ReviewId,
        others: Vec<ReviewId>,
        reason: Reason,
    },
}

/// How many reviews one transaction absorbs.
pub const MOST_ABSORBED: usize = 25;

/// The newest of the reviews that wait: it stands for the others.
pub fn newest<'a>(waiting: &[&'a Review]) -> Option<&'a Review> {
    waiting.iter().copied().max_by_key(|review| (review.submitted_at, review.at, review.id.clone()))
}

/// The reviews that wait and are ours to settle, and all that were absorbed by one of them: they share its
/// fate. `all` are the pull request's.
pub fn at_stake(all: &[Review], is_ours: impl Fn(&Review) -> bool) -> Vec<&Review> {
    all.iter()
        .filter(|review| {
            let stands_for_it = resolved(review, all);
            stands_for_it.state == ReviewState::Deferred {} && is_ours(stands_for_it)
        })
        .collect()
}

/// What those at stake ask for together: a person's request among them goes before the guards for all, also
/// once a newer review has absorbed it.
pub fn asks(at_stake: &[&Review]) -> Asks {
    match at_stake.iter().any(|review| review.request.is_some()) {
        true => Asks::Revision { message: None },
        false => Asks::Changes {},
    }
}

/// Decides what becomes of the reviews that wait. `facts` are of the newest of them, with its permission
/// granted: that was asked before it was remembered; they ask what [`asks`] says.
pub fn settle(facts: &ReviewFacts, at_stake: &[&Review]) -> Settlement {
    let waiting: Vec<&Review> =
        at_stake.iter().copied().filter(|review| review.state == ReviewState::Deferred {}).collect();
    let Some(newest) = newest(&waiting) else { return Settlement::Nothing };
    let others = |reviews: &[&Review]| {
        let mut others: Vec<&Review> = reviews.iter().copied().filter(|review| review.id != newest.id).collect();
        others.sort_by_key(|review| (review.submitted_at, review.at, review.id.clone()));
        others.into_iter().map(|review| review.id.clone()).collect::<Vec<_>>()
    };
    let refuse = |reason| Settlement::Refuse { newest: newest.id.clone(), others: others(at_stake), reason };
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
    let mut older = others(&waiting);
    if older.is_empty() {
        return Settlement::Start { review: newest.id.clone(), job: newest.next_job() };
    }
    older.truncate(MOST_ABSORBED);
    Settlement::Absorb { into: newest.id.clone(), older }
}

#[cfg(test)]
mod tests;
