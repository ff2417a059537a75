//! Decides a review: creates its job, stores it to wait, or records the refusal.

use super::create_agent_review::create_agent_review;
use super::create_review_job::{NewReviewJob, create_review_job, send_revision_hints};
use super::defer_review::{WaitCondition, store_waiting_review};
use super::facts::{LoadedFacts, ProjectScope, answered_job, load_facts, load_project_id};
use super::permission::get_permission_or_unknown;
use super::pull_request_changed::record_pull_request_change;
use super::show_decision::{is_shown_to_users, post_note, post_refusal};
use super::snapshot::with_snapshot;
use crate::answer::{Answer, named_job};
use crate::{Context, Error};
use pullyard_domain::review::delivery::{Delivery, ReviewSubject, Source};
use pullyard_domain::review::guard::{Decision, DecisionStep, ReviewFacts, ReviewFollowUp, decide};
use pullyard_domain::review::{Permission, RequestedAction, Review, ReviewEvent, ReviewRequest, ReviewState};
use pullyard_domain::run::wakeup::QueuedReview;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{EventId, JobId};
use pullyard_store::Write;

/// Idempotent: by the review's id, across all sources; a repeat gets the first answer.
/// Errors: `Contended` if concurrent writers kept changing the ticket. The review is then not stored; try again.
pub async fn decide_review(ctx: &Context, scope: &ProjectScope, event: &ReviewEvent) -> Result<Answer, Error> {
    let mut rounds = ctx.retries(&event.pull_request.id);
    // Boxed, as below: otherwise all these futures are on the caller's stack.
    let mut loaded = Box::pin(load_facts(ctx, scope, event, requester_permission(event))).await?;
    loop {
        if has_state_change(&loaded, event) {
            // First, because the stored state decides about waiting reviews, and this change may not be reported again.
            Box::pin(record_pull_request_change(ctx, scope, &event.pull_request)).await?;
            loaded = Box::pin(load_facts(ctx, scope, event, loaded.facts.permission)).await?;
        }
        let decision = Box::pin(decide_with_permission(ctx, event, &mut loaded)).await?;
        if let Some(answer) = Box::pin(apply(ctx, event, &loaded, decision)).await? {
            ctx.counters().count_decision(&answer.reason);
            return Ok(answer);
        }
        rounds.backoff().await?;
        loaded = Box::pin(load_facts(ctx, scope, event, loaded.facts.permission)).await?;
    }
}

/// Decides from loaded facts. Requests the author's permission from the forge at most once, when its guard is reached.
async fn decide_with_permission(
    ctx: &Context,
    event: &ReviewEvent,
    loaded: &mut LoadedFacts,
) -> Result<Decision, Error> {
    let first_job_id = || JobId::for_review(&event.pull_request.id, &event.review);
    let job = loaded.review.as_ref().map_or_else(first_job_id, Review::next_job_id);
    loop {
        match decide(&loaded.facts, job.clone()) {
            DecisionStep::Decided(decision) => return Ok(decision),
            DecisionStep::NeedsPermission => {
                let Some(repository) = &loaded.repository else {
                    return Err(Error::Inconsistent("an author was asked about without a repository".into()));
                };
                // The other facts are not reloaded, because the write is refused if they changed.
                let number = event.pull_request.id.number;
                // The account of an App has no permission of a user.
                let account = loaded.integration.account.id;
                let has_job = loaded.pull_request.as_ref().is_some_and(|stored| stored.job.is_some());
                let is_ours = has_job || account != 0 && account == event.author.id;
                let permission = match event.asks.is_automatic_review() && is_ours {
                    true => Permission::Write,
                    false => {
                        get_permission_or_unknown(ctx, &loaded.integration, repository, number, &event.author).await
                    }
                };
                loaded.facts.permission = Some(permission);
            }
        }
    }
}

/// Whether the event has a change of the pull request's state that is not recorded yet.
fn has_state_change(loaded: &LoadedFacts, event: &ReviewEvent) -> bool {
    let snapshot = &event.pull_request;
    loaded.pull_request.as_ref().is_some_and(|linked| {
        linked
            .merge_forge_state(snapshot.state, &snapshot.head, snapshot.updated_at)
            .is_some_and(|merged| merged.state != linked.state)
    })
}

/// Like `decide_review`, for a caller that cannot retry: a contended review is queued, and the answer is `Queued`.
pub async fn decide_or_queue(ctx: &Context, scope: &ProjectScope, event: &ReviewEvent) -> Result<Answer, Error> {
    match decide_review(ctx, scope, event).await {
        Err(error) if is_contended(&error) => {
            let projects = scope.projects().cloned().collect();
            ctx.wakeups
                .queue_review(&QueuedReview { hook: scope.hook.clone(), projects, event: event.clone() })
                .await?;
            let pr = event.pull_request.label();
            let project = load_project_id(ctx, scope, &event.pull_request).await?;
            Ok(Answer { delivery: event.ledger_id(&project), reason: Reason::Queued { pr }, job: None })
        }
        result => result,
    }
}

fn is_contended(error: &Error) -> bool {
    matches!(error, Error::Contended { .. } | Error::Store(pullyard_store::Error::Contended { .. }))
}

/// The API token authorises a user of our own API.
fn requester_permission(event: &ReviewEvent) -> Option<Permission> {
    (event.source == Source::Person).then_some(Permission::Write)
}

async fn apply(
    ctx: &Context,
    event: &ReviewEvent,
    loaded: &LoadedFacts,
    decision: Decision,
) -> Result<Option<Answer>, Error> {
    let delivery = delivery_of(event, loaded, &decision.reason);
    let write = match decision.follow {
        ReviewFollowUp::Trigger if event.asks.is_agent_review() => {
            return trigger_agent_review(ctx, event, loaded, decision, &delivery).await;
        }
        ReviewFollowUp::Trigger => return trigger(ctx, event, loaded, decision, &delivery).await,
        ReviewFollowUp::Defer { opens_at, held } => {
            store_waiting_review(ctx, event, loaded, &delivery, WaitCondition { opens_at, is_project_held: held })
                .await?
        }
        ReviewFollowUp::Record => Write::Applied,
    };
    if write == Write::Stale {
        return Ok(None);
    }
    let is_waiting = matches!(decision.follow, ReviewFollowUp::Defer { .. });
    if let Reason::Repeat { .. } | Reason::DuplicateReview { .. } = decision.reason {
        let id = loaded.first_delivery.as_ref().map_or(delivery.id, |first| first.id.clone());
        return Ok(Some(Answer { delivery: id, reason: decision.reason, job: answered_job(loaded) }));
    }
    // No user waits for an answer to an automatic review.
    let is_awaited = !event.asks.is_automatic_review() || decision.reason.is_project_block();
    let is_shown = is_awaited && is_shown_to_users(&decision.reason);
    if !is_waiting {
        // Show the refusal first: once it is in the ledger, no later round returns to it.
        if is_shown && post_refusal(ctx, event, loaded, &decision.reason).await? == Write::Stale {
            return Ok(None);
        }
        // Stale: another process decided the review finally. A waiting review already has its entry.
        if ctx.store.record_delivery(&delivery).await? == Write::Stale {
            return Ok(None);
        }
    }
    log_decision(event, loaded, &decision.reason);
    if is_waiting && is_shown {
        post_note(ctx, loaded, &decision.reason).await;
    }
    Ok(Some(Answer { delivery: delivery.id, job: named_job(&decision.reason), reason: decision.reason }))
}

async fn trigger_agent_review(
    ctx: &Context,
    event: &ReviewEvent,
    loaded: &LoadedFacts,
    decision: Decision,
    delivery: &Delivery,
) -> Result<Option<Answer>, Error> {
    if create_agent_review(ctx, event, loaded, &decision.reason, delivery).await? == Write::Stale {
        return Ok(None);
    }
    log_decision(event, loaded, &decision.reason);
    Ok(Some(Answer { delivery: delivery.id.clone(), job: named_job(&decision.reason), reason: decision.reason }))
}

async fn trigger(
    ctx: &Context,
    event: &ReviewEvent,
    loaded: &LoadedFacts,
    decision: Decision,
    delivery: &Delivery,
) -> Result<Option<Answer>, Error> {
    let Reason::Accepted { job: id } = &decision.reason else {
        return Err(Error::Inconsistent("a review that is refused makes no job".into()));
    };
    let (Some(project), Some(repository), Some(ticket), Some(pull_request)) =
        (&loaded.project, &loaded.repository, &loaded.ticket, &loaded.pull_request)
    else {
        return Err(Error::Inconsistent("a review was accepted without its ticket".into()));
    };
    let linked = with_snapshot(pull_request, &event.pull_request);
    let now = loaded.facts.now;
    let state = ReviewState::Started { job: id.clone() };
    let review = Review::from_event(event, &project.id, &ticket.key, state, now).next_version(loaded.review.as_ref());
    let new =
        NewReviewJob { id, project, repository, ticket, pull_request: &linked, review, delivery: Some(delivery), now };
    if create_review_job(ctx, new).await? == Write::Stale {
        return Ok(None);
    }
    log_decision(event, loaded, &decision.reason);
    send_revision_hints(ctx, id, &linked.id).await;
    Ok(Some(Answer { delivery: delivery.id.clone(), job: named_job(&decision.reason), reason: decision.reason }))
}

fn log_decision(event: &ReviewEvent, loaded: &LoadedFacts, reason: &Reason) {
    tracing::info!(
        project = %loaded.facts.project,
        pull_request = %event.pull_request.id,
        review = %event.review,
        decision.reason = reason.code(),
        delivery = %event.ledger_id(&loaded.facts.project),
        "review decided"
    );
}

fn delivery_of(event: &ReviewEvent, loaded: &LoadedFacts, reason: &Reason) -> Delivery {
    let facts = ReviewFacts {
        // Omitted, because the message may be long and does not affect the decision.
        asks: match &event.asks {
            RequestedAction::Revision { .. } => RequestedAction::Revision { message: None },
            RequestedAction::Review(request) => RequestedAction::Review(ReviewRequest {
                resolve: request.resolve,
                full: request.full,
                automatic: request.automatic,
                ..ReviewRequest::default()
            }),
            asks => asks.clone(),
        },
        ..loaded.facts.clone()
    };
    // A review by an agent is no work on the ticket, so it explains nothing about it.
    let ticket = loaded.ticket.as_ref().filter(|_| !event.asks.is_agent_review());
    Delivery {
        id: event.ledger_id(&loaded.facts.project),
        project: loaded.facts.project.clone(),
        source: event.source,
        event: event.delivery.clone().unwrap_or_else(|| event_id(event)),
        ticket: ticket.map(|ticket| ticket.key.clone()),
        at: loaded.first_delivery.as_ref().map_or(loaded.facts.now, |first| first.at),
        reason: reason.clone().clipped(),
        job: reason.created_job().cloned(),
        facts: None,
        review: Some(ReviewSubject {
            pull_request: event.pull_request.id.clone(),
            label: event.pull_request.label(),
            url: event.pull_request.url.clone(),
            review: Some(event.review.clone()),
            author: event.author.login.clone(),
            facts: Some(Box::new(facts)),
        }),
    }
}

fn event_id(event: &ReviewEvent) -> EventId {
    EventId::new(event.review.as_str()).unwrap_or_else(|_| unreachable!("a review's id is plain text"))
}
