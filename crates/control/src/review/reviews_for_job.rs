//! Finds a ticket's unanswered reviews for its next job. A review is assigned only after its text was read. If a
//! job starts without that text, or ends before reading it, the ticket's next job gets the review.

use crate::corrupt::skip_corrupt;
use crate::{Context, Error};
use futures::future::try_join_all;
use pullyard_domain::job::{Job, has_reviews_to_pass_on};
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::review::{Review, covered_reviews, list_possible_review_owners, unanswered_reviews};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, JobId, ProjectId, TicketKey};
use pullyard_domain::ticket::LastOutcome;
use pullyard_store::{ReviewWait, Write};
use std::collections::BTreeSet;

const CONCURRENCY: usize = 16;

const MAX_RETRIES: usize = 50;

pub(crate) async fn has_unanswered_reviews(ctx: &Context, job: &Job) -> Result<bool, Error> {
    let Some(id) = job.reviewed_pull_request() else { return Ok(false) };
    Ok(!reviews_for_job(ctx, job, &ctx.store.list_reviews(&id).await?).await?.is_empty())
}

pub(super) async fn reviews_for_job(ctx: &Context, job: &Job, all: &[Review]) -> Result<Vec<Review>, Error> {
    let Some(key) = &job.ticket else { return Ok(Vec::new()) };
    let unfinished = list_unfinished_jobs(ctx, job, &job.id, all).await?;
    Ok(unanswered_reviews(all, &job.project, key, &unfinished).into_iter().cloned().collect())
}

/// Returns ended jobs of this ticket whose reviews pass to its next job, except `first`, which owns the reviews of this
/// job. Skips an unreadable job, so that it does not block every new job of the pull request.
pub(super) async fn list_unfinished_jobs(
    ctx: &Context,
    job: &Job,
    first: &JobId,
    all: &[Review],
) -> Result<BTreeSet<JobId>, Error> {
    let mut unfinished = BTreeSet::new();
    let Some(key) = &job.ticket else { return Ok(unfinished) };
    let of_ticket = all.iter().filter(|review| review.project == job.project && review.ticket == *key);
    let jobs: BTreeSet<&JobId> = of_ticket.filter_map(Review::started_job).filter(|job| *job != first).collect();
    if jobs.is_empty() {
        return Ok(unfinished);
    }
    let last = load_last_incomplete_job(ctx, &job.project, key).await?;
    for ids in list_possible_review_owners(&jobs, all, last.as_ref()).chunks(CONCURRENCY) {
        let read = try_join_all(ids.iter().map(|id| readable_job(ctx, id))).await?;
        let remaining = read.into_iter().flatten().filter(|job| has_reviews_to_pass_on(job, last.as_ref()));
        unfinished.extend(remaining.map(|job| job.id));
    }
    Ok(unfinished)
}

/// A job, or `None` if it is missing or cannot be parsed.
pub(super) async fn readable_job(ctx: &Context, id: &JobId) -> Result<Option<Job>, Error> {
    Ok(skip_corrupt(ctx, ctx.store.load_job(id).await)?.flatten())
}

/// If the ticket's last job with an agent did not complete, returns the first of its retries.
async fn load_last_incomplete_job(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<Option<JobId>, Error> {
    let last = ctx.store.load_ticket(project, key).await?.and_then(|ticket| ticket.last_job);
    let Some(last) = last.filter(|last| last.outcome != LastOutcome::Completed) else { return Ok(None) };
    match readable_job(ctx, &last.id).await? {
        Some(job) => skip_corrupt(ctx, first_of_retries(ctx, &job).await),
        None => Ok(None),
    }
}

pub(super) async fn first_of_retries(ctx: &Context, job: &Job) -> Result<JobId, Error> {
    let mut first = job.clone();
    for _ in 0..MAX_RETRIES {
        let Some(retried) = first.retry_of.clone() else { break };
        match ctx.store.load_job(&retried).await?.filter(Job::answers_reviews) {
            Some(retried) => first = retried,
            None => break,
        }
    }
    Ok(first.id)
}

pub(super) fn reviews_covered_with(job: &JobId, all: &[Review], assigned: &[Review]) -> Vec<Review> {
    let is_assigned = |review: &Review| assigned.iter().any(|other| other.id == review.id);
    let reviews = all.iter().map(|review| if is_assigned(review) { review.assign_to(job) } else { review.clone() });
    let all: Vec<Review> = reviews.collect();
    covered_reviews(job, &all).into_iter().cloned().collect()
}

/// Returns the assigned reviews. A review that was redelivered concurrently is decided on its own.
pub(super) async fn assign_reviews(ctx: &Context, job: &JobId, owed: &[Review]) -> Result<Vec<Review>, Error> {
    let mut assigned = Vec::with_capacity(owed.len());
    for review in owed {
        if ctx.store.assign_review(&review.assign_to(job), review.started_job()).await? == Write::Applied {
            assigned.push(review.clone());
        }
    }
    Ok(assigned)
}

/// Unassigns a failed job's review where reviews do not wait. After another completed job it would never be read.
async fn unassign_review(ctx: &Context, review: &Review) -> Result<(), Error> {
    let Some(id) = review.started_job() else { return Ok(()) };
    let job = ctx.store.load_job(id).await?;
    if let Some(refused) = job.and_then(|job| review.refuse_after(&job, ctx.clock.now())) {
        ctx.store.assign_review(&refused, Some(id)).await?;
    }
    Ok(())
}

/// Idempotent: each review is reassigned once; a repeat continues with the rest.
pub(super) async fn defer_reviews(ctx: &Context, job: &Job, id: &PullRequestId, all: &[Review]) -> Result<(), Error> {
    let Some(project) = ctx.store.load_project(&job.project).await? else { return Ok(()) };
    for review in reviews_for_job(ctx, job, all).await? {
        let Some(deferred) = review.defer_again(&project.settings) else {
            unassign_review(ctx, &review).await?;
            continue;
        };
        // If the review had a job, its entry keeps naming that job.
        let entry = match review.started_job() {
            None => ctx.store.load_delivery(&DeliveryId::for_review(&review.project, id, &review.id)).await?,
            Some(_) => None,
        };
        let reason = Reason::HeldForJob { job: job.id.clone() };
        let entry = entry.filter(|entry| !entry.reason.is_final()).map(|entry| Delivery { reason, ..entry });
        let wait = ReviewWait {
            review: &deferred,
            from: review.started_job(),
            delivery: entry.as_ref(),
            job: &job.id,
            opens_at: ctx.clock.now(),
        };
        if ctx.store.wait_for_job(&wait).await? == Write::Applied {
            tracing::info!(job.id = %job.id, pull_request = %id, review = %review.id, "review waits for its job to be updated");
        }
    }
    Ok(())
}
