//! The reviews that nobody answered: a ticket's next job is told of them, and where it can't be they wait for its end.
//!
//! They become a job's when it was read what they say, and not before: a job that goes on without them, or ends
//! before it could begin, leaves them to the next one.

use crate::{Context, Error};
use futures::future::try_join_all;
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Delivery;
use pullyard_domain::id::{DeliveryId, JobId, ProjectId, TicketKey};
use pullyard_domain::job::{Job, Kind, leaves_reviews};
use pullyard_domain::pull_request::PullRequestId;
use pullyard_domain::review::{Review, covered, may_leave_reviews, unanswered};
use pullyard_domain::ticket::LastOutcome;
use pullyard_store::{Error as StoreError, WaitsForJob, Write};
use std::collections::BTreeSet;

/// How many jobs are read at once: there may be as many of a pull request as it had revisions.
const AT_ONCE: usize = 16;

/// How many retries of one revision are followed back.
const MOST_RETRIES: usize = 50;

/// Whether reviews that nobody answered are to be read for this job, which goes on with their pull request.
pub(crate) async fn has_unanswered(ctx: &Context, job: &Job) -> Result<bool, Error> {
    let Some(id) = job.reviewed() else { return Ok(false) };
    Ok(!owed(ctx, job, &ctx.store.reviews(&id).await?).await?.is_empty())
}

/// Those that this job is to be told of, as they are stored. `all` are its pull request's.
pub(super) async fn owed(ctx: &Context, job: &Job, all: &[Review]) -> Result<Vec<Review>, Error> {
    let Some(key) = &job.ticket else { return Ok(Vec::new()) };
    let unfinished = unfinished(ctx, job, &job.id, all).await?;
    Ok(unanswered(all, &job.project, key, &unfinished).into_iter().cloned().collect())
}

/// The jobs that have reviews of this job's ticket, have ended, and left those to its next job. `first` is the one
/// that this job's own reviews were given to. One that can't be read left none: it must not be in the way of every new
/// job of its pull request.
pub(super) async fn unfinished(
    ctx: &Context,
    job: &Job,
    first: &JobId,
    all: &[Review],
) -> Result<BTreeSet<JobId>, Error> {
    let mut unfinished = BTreeSet::new();
    let Some(key) = &job.ticket else { return Ok(unfinished) };
    let of_ticket = all.iter().filter(|review| review.project == job.project && review.ticket == *key);
    let having: BTreeSet<&JobId> = of_ticket.filter_map(Review::job).filter(|by| *by != first).collect();
    if having.is_empty() {
        return Ok(unfinished);
    }
    let last = last_undone(ctx, &job.project, key).await?;
    for some in may_leave_reviews(&having, all, last.as_ref()).chunks(AT_ONCE) {
        let read = try_join_all(some.iter().map(|id| legible_job(ctx, id))).await?;
        let left = read.into_iter().flatten().filter(|by| leaves_reviews(by, last.as_ref()));
        unfinished.extend(left.map(|by| by.id));
    }
    Ok(unfinished)
}

/// A job, unless it is none that this version understands.
pub(super) async fn legible_job(ctx: &Context, id: &JobId) -> Result<Option<Job>, Error> {
    if_legible(id, ctx.store.job(id).await.map_err(Error::from))
}

/// What was read for this job, and nothing where that is not understood.
pub(super) fn if_legible<T>(id: &JobId, read: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(Error::Store(error @ StoreError::Corrupt { .. })) => {
            tracing::warn!(job.id = %id, error = %error, "a job can't be read: if it left reviews, nobody is told of them");
            Ok(None)
        }
        read => read,
    }
}

/// The last job of a ticket that an agent worked on, if it did not complete; of retries the first.
async fn last_undone(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<Option<JobId>, Error> {
    let last = ctx.store.ticket(project, key).await?.and_then(|ticket| ticket.last_job);
    let Some(last) = last.filter(|last| last.outcome != LastOutcome::Completed) else { return Ok(None) };
    match legible_job(ctx, &last.id).await? {
        Some(job) => if_legible(&last.id, first_of(ctx, &job).await.map(Some)),
        None => Ok(None),
    }
}

/// The job that the reviews were given to: of retries the first.
pub(super) async fn first_of(ctx: &Context, job: &Job) -> Result<JobId, Error> {
    let mut first = job.clone();
    for _ in 0..MOST_RETRIES {
        let Some(of) = first.retry_of.clone() else { break };
        match ctx.store.job(&of).await?.filter(|of| of.kind == Kind::Revise) {
            Some(of) => first = of,
            None => break,
        }
    }
    Ok(first.id)
}

/// What a job covers once it has taken these over, oldest first.
pub(super) fn covered_with(job: &JobId, all: &[Review], taken: &[Review]) -> Vec<Review> {
    let is_taken = |review: &Review| taken.iter().any(|one| one.id == review.id);
    let each = all.iter().map(|review| if is_taken(review) { review.taken_by(job) } else { review.clone() });
    let all: Vec<Review> = each.collect();
    covered(job, &all).into_iter().cloned().collect()
}

/// Makes them this job's, and returns those that are: what somebody sent again meanwhile has its own way.
pub(super) async fn take_over(ctx: &Context, job: &JobId, owed: &[Review]) -> Result<Vec<Review>, Error> {
    let mut taken = Vec::with_capacity(owed.len());
    for review in owed {
        if ctx.store.take_review(&review.taken_by(job), review.job()).await? == Write::Applied {
            taken.push(review.clone());
        }
    }
    Ok(taken)
}

/// Where nothing waits, one that a failed job had is nobody's, like one that waited for that: were it left where it is,
/// nobody would be told of it once another job completed.
async fn give_back(ctx: &Context, review: &Review) -> Result<(), Error> {
    let Some(id) = review.job() else { return Ok(()) };
    let by = ctx.store.job(id).await?;
    if let Some(back) = by.and_then(|by| review.given_back(&by, ctx.clock.now())) {
        // Stale: somebody took it meanwhile.
        ctx.store.take_review(&back, Some(id)).await?;
    }
    Ok(())
}

/// Has those that a job could not be told of wait for its end, which has them settled.
///
/// Idempotent: each changes hands once, and whoever looks again finds those that are left.
pub(super) async fn have_wait(ctx: &Context, job: &Job, id: &PullRequestId, all: &[Review]) -> Result<(), Error> {
    let Some(project) = ctx.store.project(&job.project).await? else { return Ok(()) };
    for review in owed(ctx, job, all).await? {
        let Some(waits) = review.waiting_anew(&project.settings) else {
            give_back(ctx, &review).await?;
            continue;
        };
        // The entry of one that a job had names that, for good.
        let entry = match review.job() {
            None => ctx.store.delivery(&DeliveryId::of_review(&review.project, id, &review.id)).await?,
            Some(_) => None,
        };
        let reason = Reason::HeldForJob { job: job.id.clone() };
        let entry = entry.filter(|entry| !entry.reason.is_final()).map(|entry| Delivery { reason, ..entry });
        let wait = WaitsForJob {
            review: &waits,
            from: review.job(),
            delivery: entry.as_ref(),
            job: &job.id,
            opens_at: ctx.clock.now(),
        };
        // Stale: somebody sent it again meanwhile, or the job has ended.
        if ctx.store.wait_for_job(&wait).await? == Write::Applied {
            tracing::info!(job.id = %job.id, pull_request = %id, review = %review.id, "a review waits for a job that could not be told of it");
        }
    }
    Ok(())
}
