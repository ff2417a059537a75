//! Stores a review that may not start a job yet.

use super::facts::LoadedFacts;
use crate::{Context, Error};
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::review::guard::StoredResult;
use pullyard_domain::review::{RequestedAction, Review, ReviewEvent, ReviewState};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;
use pullyard_store::{ReviewWait, Write};

#[derive(Clone, Copy)]
pub(super) struct WaitCondition {
    pub(super) opens_at: Timestamp,
    pub(super) is_project_held: bool,
}

/// Stores the review and its mark on the ticket in one write, because a review without a mark is never settled.
pub(super) async fn store_waiting_review(
    ctx: &Context,
    event: &ReviewEvent,
    loaded: &LoadedFacts,
    delivery: &Delivery,
    wait: WaitCondition,
) -> Result<Write, Error> {
    let (Some(project), Some(ticket), Some(pull_request)) = (&loaded.project, &loaded.ticket, &loaded.pull_request)
    else {
        return Err(Error::Inconsistent("a review waits without its ticket".into()));
    };
    let opens_at = wait.opens_at;
    let scheduled = ticket.schedule_review(&pull_request.id, opens_at);
    let marked = Ticket { held: scheduled.held || wait.is_project_held, ..scheduled };
    let write = if matches!(loaded.facts.stored, Some(StoredResult::Deferred {})) {
        // A repeat changes at most the time on the ticket that the review waits for, not on a ticket linked later.
        let is_on_ticket = |review: &Review| review.project == ticket.project && review.ticket == ticket.key;
        if marked == *ticket || !loaded.review.as_ref().is_some_and(is_on_ticket) {
            return Ok(Write::Applied);
        }
        ctx.store.update_ticket(&marked).await?
    } else {
        let deferred = Review::from_event(event, &project.id, &ticket.key, ReviewState::Deferred {}, loaded.facts.now);
        // Makes a concurrent final refusal of the same review stale.
        let review = &deferred.next_version(loaded.review.as_ref());
        let is_request = matches!(event.asks, RequestedAction::Revision { .. });
        // A request may shorten the wait of other reviews, so it needs the condition on the ticket.
        match ticket.active_job.as_ref().filter(|_| !is_request) {
            Some(job) => {
                let wait = ReviewWait { review, from: None, delivery: Some(delivery), job, opens_at };
                match ctx.store.wait_for_job(&wait).await? {
                    Write::Applied => Write::Applied,
                    // The job ended: write over the revision that was read.
                    Write::Stale => ctx.store.create_deferred_review(review, delivery, &marked).await?,
                }
            }
            None => ctx.store.create_deferred_review(review, delivery, &marked).await?,
        }
    };
    if write == Write::Applied && ticket.active_job.is_none() && !wait.is_project_held && opens_at <= ctx.clock.now() {
        ctx.wake_ticket(&ticket.project, &ticket.key).await;
    }
    Ok(write)
}
