//! Reads and freezes the texts of a job's reviews before the job may start. Waits while the forge is unreachable.

use super::job_in_ledger::set_job_in_ledger;
use super::read::ReadError;
use super::reviews_for_job::{assign_reviews, defer_reviews, first_of_retries, reviews_covered_with, reviews_for_job};
use super::source::ReviewSource;
use crate::forge::forge_client;
use crate::jobs::finish_job::{WriteParts, write_end};
use crate::jobs::places::await_place;
use crate::postpone::postpone_after;
use crate::{Context, Error};
use pullyard_domain::agent::checks::JobCommands;
use pullyard_domain::job::{Cancel, ContextFault, Job, JobStatus, TransitionRefusal};
use pullyard_domain::kinds::prompt;
use pullyard_domain::kinds::prompt::comments::freeze_comments;
use pullyard_domain::project::commits;
use pullyard_domain::review::pull_request::{PullRequest, PullRequestState};
use pullyard_domain::review::{Review, covered_reviews, request_messages};
use pullyard_domain::text::format_error_chain;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{WorkKey, Write};
use std::time::Duration;

/// Limit of tries for a job that can work without its reviews.
const MAX_TRIES: u32 = 5;

/// The most comments of the ticket that a revision's prompt contains.
const MAX_COMMENTS: u8 = 50;

/// Idempotent: only a Pending job changes; frozen contexts are named by their content.
/// Errors: `Store`, `Cloud`; errors of the forge are stored on the job. After a permanent error the job is put off,
/// longer each time; otherwise every sweep would send it again.
pub async fn freeze_reviews(ctx: &Context, id: &JobId) -> Result<(), Error> {
    let result = freeze_if_due(ctx, id).await;
    postpone_after(ctx, &WorkKey::Job(id.clone()), result, |error| !error.is_transient()).await
}

async fn freeze_if_due(ctx: &Context, id: &JobId) -> Result<(), Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let now = ctx.clock.now();
        let Some(job) = ctx.store.load_job(id).await? else { return Ok(()) };
        let is_retry_early = job.waits.as_ref().is_some_and(|waits| waits.tries > 0 && now < waits.next);
        let is_put_off = job.not_before.is_some_and(|not_before| now < not_before);
        if job.status != JobStatus::Pending || is_retry_early || is_put_off {
            return Ok(());
        }
        let read = match read_reviews(ctx, &job).await? {
            read if may_start_without_reviews(&read, &job) => freeze_without_reviews(ctx, &job, read).await?,
            read => read,
        };
        let next = match read {
            ReadResult::Context(context) => {
                let head = context.review.as_ref().map_or("", |review| review.pull_request.head.as_str()).to_owned();
                let frozen = ctx.store.create_context(&job.id, &context).await?;
                match job.admit(frozen, &head, ctx.clock.now()) {
                    Ok(admitted) => Ok(await_place(ctx, &job, admitted).await?),
                    refused => refused,
                }
            }
            ReadResult::Closed(state) => job.cancel(cancel_for_closed_pull_request(&job, state, now), now),
            ReadResult::Dismissed => job.cancel(Cancel::automatic("all its reviews were dismissed", now), now),
            ReadResult::Empty => job.cancel(Cancel::automatic("all its reviews are empty", now), now),
            ReadResult::Unavailable => job.fail(job.context_failure(tries(&job).saturating_add(1)), now),
            ReadResult::Retry(fault) => job.record_context_fault(fault, now),
        };
        let next = match next {
            Ok(next) => next,
            Err(TransitionRefusal::AlreadyDone) => return Ok(()),
            Err(refusal) => return Err(Error::from_refusal(refusal, now)),
        };
        let write = match next.status.is_terminal() {
            true => write_end(ctx, &job, &next, WriteParts::default(), now).await?,
            false => ctx.store.update_job(&next).await?,
        };
        if write == Write::Applied {
            send_freeze_hints(ctx, &next).await;
            return Ok(());
        }
        rounds.backoff().await?;
    }
}

fn tries(job: &Job) -> u32 {
    job.waits.as_ref().map_or(0, |waits| waits.tries)
}

/// A job with work of its own must not wait for reviews for ever.
fn may_start_without_reviews(read: &ReadResult, job: &Job) -> bool {
    !job.answers_reviews()
        && match read {
            ReadResult::Closed(_) | ReadResult::Dismissed | ReadResult::Empty | ReadResult::Unavailable => true,
            ReadResult::Retry(_) => tries(job) >= MAX_TRIES,
            ReadResult::Context(_) => false,
        }
}

/// Starts a job without its unreadable reviews, which then wait for its end. If some are already assigned to this job,
/// it waits or fails instead, because no other job would read them.
async fn freeze_without_reviews(ctx: &Context, job: &Job, read: ReadResult) -> Result<ReadResult, Error> {
    let may_be_answered = matches!(read, ReadResult::Empty | ReadResult::Unavailable | ReadResult::Retry(_));
    if let Some(id) = job.reviewed_pull_request().filter(|_| may_be_answered) {
        let all = ctx.store.list_reviews(&id).await?;
        // Reviews without any text add no work.
        if !covered_reviews(&job.id, &all).is_empty() && !matches!(read, ReadResult::Empty) {
            return Ok(read);
        }
        defer_reviews(ctx, job, &id, &all).await?;
    }
    load_own_context(ctx, job).await
}

async fn load_own_context(ctx: &Context, job: &Job) -> Result<ReadResult, Error> {
    Ok(ReadResult::Context(Box::new(ctx.load_context_of(job).await?)))
}

async fn send_freeze_hints(ctx: &Context, job: &Job) {
    if job.status == JobStatus::Ready {
        tracing::info!(job.id = %job.id, "review of a job read");
        ctx.wake_job(&job.id).await;
    } else if job.status == JobStatus::Pending {
        let fault = job.waits.as_ref().and_then(|waits| waits.fault.as_ref());
        tracing::info!(job.id = %job.id, fault = ?fault, "review of a job not readable; will retry");
    }
}

pub(super) fn cancel_for_closed_pull_request(job: &Job, state: PullRequestState, now: Timestamp) -> Cancel {
    let number = job.revises.as_ref().map_or(0, |revises| revises.number);
    Cancel::automatic(&format!("#{number} was {}", state.display_name()), now)
}

enum ReadResult {
    Context(Box<prompt::Context>),
    Closed(PullRequestState),
    Dismissed,
    /// All reviews are still empty after the waiting time.
    Empty,
    /// The forge refuses permanently.
    Unavailable,
    Retry(ContextFault),
}

async fn read_reviews(ctx: &Context, job: &Job) -> Result<ReadResult, Error> {
    let (Some(id), Some(key)) = (job.reviewed_pull_request(), &job.ticket) else {
        return Err(Error::Inconsistent(format!("{} waits for a review and has no pull request", job.id)));
    };
    let (project, integration, repository, linked, all, text, comments) = tokio::try_join!(
        ctx.store.load_project(&job.project),
        ctx.store.load_integration(&job.integration),
        ctx.store.load_repository(&job.project, &job.integration, job.repository),
        ctx.store.load_pull_request(&id),
        ctx.store.list_reviews(&id),
        ctx.store.load_ticket_text(&job.project, key),
        ctx.store.list_comments(&job.project, key, None, MAX_COMMENTS),
    )?;
    // The covered reviews, and the owed ones, which the job takes over once their texts are read.
    let (owner_job, mut covered, owed) = match job.answers_reviews() {
        true => {
            let owner_job = first_of_retries(ctx, job).await?;
            let covered: Vec<Review> = covered_reviews(&owner_job, &all).into_iter().cloned().collect();
            // First, because later steps may end the job, and its reviews' ledger entries must name it.
            set_job_in_ledger(ctx, job, &id, &covered).await?;
            (owner_job, covered, Vec::new())
        }
        false => {
            let owed = reviews_for_job(ctx, job, &all).await?;
            (job.id.clone(), reviews_covered_with(&job.id, &all, &owed), owed)
        }
    };
    let (Some(integration), Some(repository)) = (integration, repository) else {
        return Ok(ReadResult::Unavailable);
    };
    if let Some(linked) = linked.filter(|linked| linked.state != PullRequestState::Open) {
        return Ok(ReadResult::Closed(linked.state));
    }
    let review = match forge_client(ctx, &integration, &repository).await {
        Ok(forge) => {
            let (integration, repository) = (&integration, &repository);
            let source = ReviewSource { ctx, job, owner_job: &owner_job, integration, forge: &forge, repository };
            source.read(&id, &mut covered, &all).await
        }
        Err(error) => Err(error.into()),
    };
    let mut review = match review {
        Ok(review) => review,
        Err(error) => return classify_read_error(job, error, ctx.clock.now()),
    };
    let assigned = assign_reviews(ctx, &job.id, &owed).await?;
    if assigned.len() < owed.len() {
        covered = reviews_covered_with(&job.id, &all, &assigned);
        review.reviews.retain(|read| covered.iter().any(|review| review.id.as_str() == read.id.to_string()));
    }
    if !job.answers_reviews() && covered.is_empty() {
        return load_own_context(ctx, job).await;
    }
    set_job_in_ledger(ctx, job, &id, &covered).await?;
    let messages = request_messages(&covered);
    let context = match ctx.store.load_context(&job.id, &job.context).await? {
        Some(frozen) => prompt::Context { review: Some(review), ..frozen.with_requests(&messages) },
        None => prompt::Context {
            kind: job.kind,
            ticket: Some((key.clone(), text.map(|stored| stored.text).unwrap_or_default())),
            comments: freeze_comments(&comments),
            instructions: (!messages.is_empty()).then(|| messages.join("\n\n")),
            reviews: None,
            analysis: None,
            base: review.pull_request.base.clone(),
            review: Some(review),
            commands: project.as_ref().and_then(|project| JobCommands::from_settings(&project.settings, &repository)),
            egress: project.as_ref().map(|project| project.settings.egress.clone()).unwrap_or_default(),
            author: project.as_ref().and_then(|project| commits::Author::from_settings(&project.settings)),
            labels: Default::default(),
            priority: None,
            step: None,
            repository: repository.resolve_agent(&project.map(|project| project.settings).unwrap_or_default()),
        },
    };
    Ok(ReadResult::Context(Box::new(context)))
}

fn classify_read_error(job: &Job, error: ReadError, now: Timestamp) -> Result<ReadResult, Error> {
    Ok(match error {
        ReadError::Closed(state) => ReadResult::Closed(state),
        ReadError::Dismissed => ReadResult::Dismissed,
        ReadError::Empty { submitted_at } => {
            job.missing_text_fault(submitted_at, now).map_or(ReadResult::Empty, ReadResult::Retry)
        }
        ReadError::Failed(Error::Forge(error)) => classify_forge_error(&job.id, &error, now),
        // Our credentials are missing or denied. The job waits up to a day for them.
        ReadError::Failed(Error::Cloud(error)) => {
            ReadResult::Retry(ContextFault::Away { reason: format_error_chain(&error) })
        }
        // A repeat changes nothing until the project is listed.
        ReadError::Failed(Error::NotListed { .. }) => ReadResult::Unavailable,
        ReadError::Failed(error) => return Err(error),
    })
}

fn classify_forge_error(job: &JobId, error: &pullyard_forge::Error, now: Timestamp) -> ReadResult {
    use pullyard_forge::ErrorKind;
    tracing::info!(job.id = %job, error = %error, "the forge did not return the review");
    match error.kind() {
        ErrorKind::Missing | ErrorKind::Denied | ErrorKind::Refused => ReadResult::Unavailable,
        ErrorKind::RateLimited { retry_after } => {
            let delay = retry_after.clamp(Duration::from_secs(1), Duration::from_secs(3_600));
            ReadResult::Retry(ContextFault::RateLimited { until: now.plus(delay) })
        }
        ErrorKind::Unavailable | ErrorKind::Unknown => {
            ReadResult::Retry(ContextFault::Away { reason: format_error_chain(error) })
        }
    }
}

pub(super) fn is_revising(linked: &PullRequest, job: &Job) -> bool {
    job.pull_request().as_ref() == Some(&linked.id) && !job.status.is_terminal()
}
