//! Decides a delivery again at a user's request, with the forge's current data.

use crate::answer::Answer;
use crate::forge::forge_client;
use crate::review::translate::{comment_event, review_event, to_pull_request_snapshot};
use crate::review::{ProjectScope, decide_review};
use crate::tickets::move_ticket::move_ticket;
use crate::{Context, Error};
use pullyard_domain::review::ReviewEvent;
use pullyard_domain::review::delivery::{Delivery, ReviewSubject};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, ReviewId};
use pullyard_domain::ticket::event::TicketEvent;
use pullyard_forge::ReviewState;

/// Idempotent: a final answer stays, as with a redelivery.
/// Errors: `NotFound`; `Invalid` for a delivery without stored content, and for a raise; `Forge`; `Contended`.
pub async fn replay_delivery(ctx: &Context, id: &DeliveryId) -> Result<Answer, Error> {
    let delivery = ctx.store.load_delivery(id).await?.ok_or_else(|| Error::not_found("delivery", id))?;
    match (&delivery.review, &delivery.facts, &delivery.ticket) {
        (Some(subject), _, _) => {
            let event = reload_event(ctx, &delivery, subject).await?;
            Box::pin(decide_review(ctx, &ProjectScope::single(delivery.project.clone()), &event)).await
        }
        (None, Some(facts), Some(key)) => {
            let event = TicketEvent {
                source: delivery.source,
                project: delivery.project.clone(),
                event: delivery.event.clone(),
                occurred_at: facts.occurred_at,
                actor: facts.actor.clone(),
                previous_status: facts.previous_status.clone(),
                key: key.clone(),
                status: facts.status.clone(),
                // The ticket now has this event's text or a newer one.
                text: None,
                rank: None,
                is_own: delivery.reason == Reason::Echo {},
            };
            Box::pin(move_ticket(ctx, &event)).await
        }
        _ if is_raise(&delivery) && !matches!(delivery.reason, Reason::NoLinkedTicket { .. }) => Err(not_replayable(
            "a comment raises a limit only once; write a new comment, or use `pullyard tickets raise` or \
             `pullyard pulls raise`",
        )),
        _ => Err(not_replayable("its content is not stored; send it again from the forge")),
    }
}

/// Only the entry of a comment with a raise names a comment without storing its pull request.
fn is_raise(delivery: &Delivery) -> bool {
    ReviewId::new(delivery.event.as_str()).is_ok_and(|id| id.comment().is_some())
}

fn not_replayable(fault: &str) -> Error {
    Error::Invalid { pointer: "/delivery", fault: fault.into() }
}

async fn reload_event(ctx: &Context, delivery: &Delivery, subject: &ReviewSubject) -> Result<ReviewEvent, Error> {
    let id = &subject.pull_request;
    let Some(review) = &subject.review else {
        return Err(not_replayable("it concerns only the pull request itself; the next poll finds that"));
    };
    let integration = ctx.load_integration(&id.integration).await?;
    let repository = ctx.store.load_repository(&delivery.project, &id.integration, id.repository).await?;
    let repository = repository.ok_or_else(|| not_replayable("its repository is no longer connected"))?;
    let (name, forge) = (repository.name.clone(), forge_client(ctx, &integration, &repository).await?);
    let pull_request = forge.pull_request(name.as_str(), id.number).await?;
    let snapshot = to_pull_request_snapshot(id.integration.clone(), id.repository, name.clone(), &pull_request);
    let delivery_id = Some(delivery.event.clone());
    if let Ok(number) = review.as_str().parse::<u64>() {
        let review = forge.review(name.as_str(), id.number, number).await?;
        if review.state != ReviewState::ChangesRequested {
            return Err(not_replayable("the review no longer requests changes"));
        }
        return Ok(review_event(delivery.source, delivery_id, &review, snapshot, ctx.clock.now()));
    }
    let Some(comment) = review.comment() else {
        return Err(not_replayable(
            "the forge does not store such requests; send it again: `pullyard revise`, `pullyard review` or `pullyard resolve`",
        ));
    };
    let all = forge.issue_comments(name.as_str(), id.number).await?.items;
    let comment =
        all.into_iter().find(|listed| listed.id == comment).ok_or_else(|| not_replayable("the comment was deleted"))?;
    let event =
        comment_event(&comment, snapshot).ok_or_else(|| not_replayable("the comment is no longer a request"))?;
    Ok(ReviewEvent { source: delivery.source, delivery: delivery_id, ..event })
}
