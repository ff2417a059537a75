//! Sets the job in the ledger entries of the reviews that it covers.

use super::reviews_for_job::first_of_retries;
use crate::corrupt::skip_corrupt;
use crate::{Context, Error};
use pullyard_domain::job::Job;
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::review::{Review, covered_reviews};
use pullyard_domain::text::id::DeliveryId;
use pullyard_store::Conclusion;

pub(super) async fn set_job_in_ledger(
    ctx: &Context,
    job: &Job,
    id: &PullRequestId,
    covered: &[Review],
) -> Result<(), Error> {
    for review in covered {
        let entry = DeliveryId::for_review(&review.project, id, &review.id);
        // Most entries name their job already, and a refused conditional write costs as much as a successful one.
        if ctx.store.load_delivery(&entry).await?.is_some_and(|delivery| delivery.job.is_some()) {
            continue;
        }
        ctx.store.conclude_review(&entry, &Conclusion::Job(job.id.clone())).await?;
    }
    Ok(())
}

/// Sets the job in the ledger entries of its unread reviews. It runs before the job's end is written, because no later
/// step would do it; after a crash the job is still Pending.
/// Idempotent: each entry is set once, and repeats are answered from the review. No entry names a wrong job, even if
/// another process ends the job and the next job takes over a review concurrently.
pub(crate) async fn set_job_of_unread_reviews(ctx: &Context, job: &Job) -> Result<(), Error> {
    let Some(id) = job.reviewed_pull_request() else { return Ok(()) };
    let read = async {
        let first = match job.answers_reviews() {
            true => first_of_retries(ctx, job).await?,
            false => job.id.clone(),
        };
        Ok::<_, Error>((first, ctx.store.list_reviews(&id).await?))
    };
    let Some((first, all)) = skip_corrupt(ctx, read.await)? else { return Ok(()) };
    for review in covered_reviews(&first, &all) {
        skip_corrupt(ctx, set_job_in_ledger(ctx, job, &id, std::slice::from_ref(review)).await)?;
    }
    Ok(())
}
