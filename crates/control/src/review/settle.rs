//! Settles waiting reviews once their ticket is free: one job for all, a longer wait, or a refusal.

use super::create_review_job::{NewReviewJob, create_review_job, send_revision_hints};
use super::facts::ticket_facts;
use super::show_decision::show_decision;
use crate::facts::{load_spending_fact, load_usage_today};
use crate::tickets::step_result::StepResult;
use crate::{Context, Error};
use pullyard_domain::project::Project;
use pullyard_domain::project::spending::SpentOn;
use pullyard_domain::review::guard::ReviewFacts;
use pullyard_domain::review::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::review::settle::{
    MAX_ABSORBED, Settlement, combined_action, newest_review, reviews_to_settle, settle,
};
use pullyard_domain::review::{Permission, Review, ReviewState};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, ReviewId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;
use pullyard_store::{Conclusion, Write};

/// Idempotent: changes only waiting and absorbed reviews. A new waiting review raises the ticket's revision, so a
/// settlement that did not read the review cannot start a job or clear the ticket's mark.
pub(crate) async fn settle_reviews(
    ctx: &Context,
    project: &Project,
    ticket: &Ticket,
    id: &PullRequestId,
) -> Result<StepResult, Error> {
    let (reviews, linked) = tokio::try_join!(ctx.store.list_reviews(id), ctx.store.load_pull_request(id))?;
    let is_ours = |review: &Review| review.project == ticket.project && review.ticket == ticket.key;
    let pending = reviews_to_settle(&reviews, is_ours);
    let Some(facts) = load_facts(ctx, project, ticket, linked.as_ref(), id, &pending).await? else {
        return Ok(StepResult::from_write(ctx.store.update_ticket(&ticket.clear_deferred(id)).await?));
    };
    let find_review = |id: &ReviewId| {
        let found = pending.iter().copied().find(|review| review.id == *id);
        found.ok_or_else(|| Error::Inconsistent("the newest review is none of those that wait".into()))
    };
    let write = match settle(&facts, &pending) {
        Settlement::Skip => ctx.store.update_ticket(&ticket.clear_deferred(id)).await?,
        Settlement::Absorb { into, older } => ctx.store.absorb_reviews(id, &into, &older).await?,
        Settlement::Wait { opens_at } => {
            let deferred = ticket.defer_review(id, opens_at).unwrap_or_else(|| ticket.clone());
            // The reviews now wait for a time, no longer for the project.
            let held = deferred.held && deferred.again.is_some();
            ctx.store.update_ticket(&Ticket { held, ..deferred }).await?
        }
        Settlement::Hold if ticket.held => return Ok(StepResult::Waiting),
        Settlement::Hold => {
            let held = ticket.clone().hold(ctx.clock.now());
            return Ok(StepResult::waiting_after(ctx.store.update_ticket(&held).await?));
        }
        Settlement::Refuse { newest, others, reason } => {
            let newest = find_review(&newest)?;
            let others: Vec<&Review> = pending.iter().copied().filter(|review| others.contains(&review.id)).collect();
            if refuse_reviews(ctx, linked, newest, &others, &reason, facts.now).await? == Write::Stale {
                return Ok(StepResult::Stale);
            }
            ctx.store.update_ticket(&ticket.clear_deferred(id)).await?
        }
        Settlement::Start { review, job } => {
            let repository = ctx.store.load_repository(&project.id, &id.integration, id.repository).await?;
            let (Some(linked), Some(repository)) = (linked, repository) else {
                return Err(Error::Inconsistent(format!("{id} was to be revised without its repository")));
            };
            let state = ReviewState::Started { job: job.clone() };
            let new = NewReviewJob {
                id: &job,
                project,
                repository: &repository,
                ticket: &ticket.clear_deferred(id),
                pull_request: &linked,
                review: Review { state, ..find_review(&review)?.clone() },
                delivery: None,
                now: facts.now,
            };
            let write = create_review_job(ctx, new).await?;
            if write == Write::Applied {
                send_revision_hints(ctx, &job, id).await;
            }
            write
        }
    };
    Ok(StepResult::from_write(write))
}

/// Refuses waiting and absorbed reviews, the newest last. After a crash, the ticket still has its mark, so the next
/// settlement refuses the rest.
async fn refuse_reviews(
    ctx: &Context,
    linked: Option<PullRequest>,
    newest: &Review,
    others: &[&Review],
    reason: &Reason,
    now: Timestamp,
) -> Result<Write, Error> {
    let id = &newest.pull_request;
    let state = ReviewState::Refused { reason: reason.clone().clipped(), at: now };
    // Ledger and pull request first: once the reviews are refused, no later round returns to them.
    for review in others.iter().chain([&newest]) {
        ctx.store
            .conclude_review(
                &DeliveryId::for_review(&review.project, id, &review.id),
                &Conclusion::Refused(reason.clone().clipped()),
            )
            .await?;
    }
    if let Some(linked) = linked {
        show_decision(ctx, linked, reason).await?;
    }
    for some in others.chunks(MAX_ABSORBED) {
        if ctx.store.refuse_absorbed_reviews(newest, some, &state).await? == Write::Stale {
            return Ok(Write::Stale);
        }
    }
    let write = ctx.store.refuse_review(newest, &state).await?;
    if write == Write::Applied {
        tracing::info!(pull_request = %id, reviews = others.len() + 1, decision.reason = reason.code(), "deferred reviews refused");
    }
    Ok(write)
}

async fn load_facts(
    ctx: &Context,
    project: &Project,
    ticket: &Ticket,
    linked: Option<&PullRequest>,
    id: &PullRequestId,
    pending: &[&Review],
) -> Result<Option<ReviewFacts>, Error> {
    let waiting: Vec<&Review> =
        pending.iter().copied().filter(|review| review.state == ReviewState::Deferred {}).collect();
    let Some(newest) = newest_review(&waiting) else { return Ok(None) };
    let repository = ctx.store.load_repository(&project.id, &id.integration, id.repository).await?;
    let ours = linked.filter(|linked| linked.project == project.id && linked.ticket.as_ref() == Some(&ticket.key));
    let name = repository.as_ref().map(|repository| repository.name.clone());
    let name = name.or_else(|| linked.and_then(|linked| linked.repository_name.clone()));
    let Some(name) = name else {
        return Err(Error::Inconsistent(format!("{id} has no name")));
    };
    let now = ctx.clock.now();
    let of = SpentOn::Ticket(ticket.key.clone());
    let spending = load_spending_fact(ctx, Some(project), Some(of), None, now).await?;
    Ok(Some(ReviewFacts {
        now,
        asks: combined_action(pending),
        author: newest.author.login.clone(),
        own: false,
        first: None,
        stored: None,
        project: project.id.clone(),
        settings: Some((&project.settings).into()),
        integration: id.integration.clone(),
        repository: name,
        connected: repository.is_some(),
        number: id.number,
        state: linked.map_or_else(Default::default, |linked| linked.state),
        permission: Some(Permission::Write),
        ticket: ticket_facts(Some(project), Some(ticket), ours),
        revised: linked.and_then(|linked| linked.revised.clone()),
        today: load_usage_today(ctx, Some(project), now).await?,
        spending,
        agent_review: None,
    }))
}
