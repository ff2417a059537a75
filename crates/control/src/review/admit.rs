//! Reads and freezes the texts of a job's reviews before the job may start. Waits while the forge is unreachable.

use super::owed::{covered_with, first_of, have_wait, owed, take_over};
use super::read::Unread;
use super::source::{Source, Stopped};
use crate::corrupt::skip_corrupt;
use crate::forge::forge_of;
use crate::jobs::ending::write_end;
use crate::sweep::put_off::put_off;
use crate::{Context, Error};
use pullyard_domain::checks::JobCommands;
use pullyard_domain::commits;
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{DeliveryId, JobId, ReviewId};
use pullyard_domain::job::{Cancel, ContextFault, Job, JobKind, JobStatus, Placement, TransitionRefusal};
use pullyard_domain::prompt;
use pullyard_domain::pull_request::{PullRequest, PullRequestId, PullRequestState};
use pullyard_domain::review::{Review, covered_reviews, request_messages};
use pullyard_domain::text::format_error_chain;
use pullyard_domain::time::Timestamp;
use pullyard_store::{Conclusion, Proof, WorkKey, Write};
use std::collections::BTreeSet;
use std::time::Duration;

/// Limit of tries for a job that can work without its reviews.
const MOST_TRIES: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    Ready,
    Later,
    Ended,
    Nothing,
}

/// Idempotent: only a Pending job changes; frozen contexts are named by their content.
/// Errors: `Store`, `Cloud`; errors of the forge are stored on the job. After a permanent error the job is put off,
/// longer each time; otherwise every sweep would send it again.
pub async fn admit_job(ctx: &Context, id: &JobId) -> Result<Admitted, Error> {
    match admit_if_due(ctx, id).await {
        Err(error) if !error.is_transient() => {
            put_off(ctx, &WorkKey::Job(id.clone()), Some(&error)).await;
            Err(error)
        }
        admitted => admitted,
    }
}

async fn admit_if_due(ctx: &Context, id: &JobId) -> Result<Admitted, Error> {
    let mut rounds = ctx.rounds(id);
    loop {
        let now = ctx.clock.now();
        let Some(job) = ctx.store.job(id).await? else { return Ok(Admitted::Nothing) };
        let again = job.waits.as_ref().is_some_and(|waits| waits.tries > 0 && now < waits.next);
        let is_put_off = job.not_before.is_some_and(|not_before| now < not_before);
        if job.status != JobStatus::Pending || again || is_put_off {
            return Ok(Admitted::Nothing);
        }
        let read = match read(ctx, &job).await? {
            read if may_go_on_alone(&read, &job) => alone(ctx, &job, read).await?,
            read => read,
        };
        let next = match read {
            Read::Context(context) => {
                let head = context.review.as_ref().map_or("", |review| review.pull_request.head.as_str()).to_owned();
                let frozen = ctx.store.freeze_context(&job.id, &context).await?;
                job.admit(frozen, &head, ctx.clock.now())
            }
            Read::Closed(state) => job.cancel(closed(&job, state, now), now),
            Read::Dismissed => job.cancel(Cancel::automatic("all its reviews were dismissed", now), now),
            Read::Silent => job.cancel(Cancel::automatic("all its reviews are empty", now), now),
            Read::Unavailable => job.fail(job.context_failure(tries_of(&job).saturating_add(1)), now),
            Read::Fault(fault) => job.record_context_fault(fault, now),
        };
        let next = match next {
            Ok(next) => next,
            Err(TransitionRefusal::AlreadyDone) => return Ok(Admitted::Nothing),
            Err(refusal) => return Err(Error::refused(refusal, now)),
        };
        let written = match next.status.is_terminal() {
            true => write_end(ctx, &job, &next, Proof::Nothing, now).await?,
            false => ctx.store.update_job(&next).await?,
        };
        if written == Write::Applied {
            return Ok(announce(ctx, &next).await);
        }
        rounds.again().await?;
    }
}

fn tries_of(job: &Job) -> u32 {
    job.waits.as_ref().map_or(0, |waits| waits.tries)
}

/// An implement job can work without reviews and must not wait for ever.
fn may_go_on_alone(read: &Read, job: &Job) -> bool {
    job.kind == JobKind::Implement
        && match read {
            Read::Closed(_) | Read::Dismissed | Read::Silent | Read::Unavailable => true,
            Read::Fault(_) => tries_of(job) >= MOST_TRIES,
            Read::Context(_) => false,
        }
}

/// Starts a job without its unreadable reviews, which then wait for its end. If some are already assigned to this job,
/// it waits or fails instead, because no other job would read them.
async fn alone(ctx: &Context, job: &Job, read: Read) -> Result<Read, Error> {
    let may_be_answered = matches!(read, Read::Silent | Read::Unavailable | Read::Fault(_));
    if let Some(id) = job.reviewed_pull_request().filter(|_| may_be_answered) {
        let all = ctx.store.reviews(&id).await?;
        // Reviews without any text add no work.
        if !covered_reviews(&job.id, &all).is_empty() && !matches!(read, Read::Silent) {
            return Ok(read);
        }
        have_wait(ctx, job, &id, &all).await?;
    }
    frozen_alone(ctx, job).await
}

async fn frozen_alone(ctx: &Context, job: &Job) -> Result<Read, Error> {
    let context = frozen(ctx, job).await?;
    let context = context.ok_or_else(|| Error::Inconsistent(format!("{} has no context", job.id)))?;
    Ok(Read::Context(Box::new(context)))
}

async fn announce(ctx: &Context, job: &Job) -> Admitted {
    match job.status {
        JobStatus::Ready => {
            tracing::info!(job.id = %job.id, "review of a job read");
            if job.place == Placement::Fargate {
                ctx.wake_job(&job.id).await;
            }
            Admitted::Ready
        }
        JobStatus::Pending => {
            let fault = job.waits.as_ref().and_then(|waits| waits.fault.as_ref());
            tracing::info!(job.id = %job.id, fault = ?fault, "review of a job not readable; will retry");
            Admitted::Later
        }
        _ => Admitted::Ended,
    }
}

pub(super) fn closed(job: &Job, state: PullRequestState, now: Timestamp) -> Cancel {
    let number = job.revises.as_ref().map_or(0, |revises| revises.number);
    Cancel::automatic(&format!("#{number} was {}", state.display_name()), now)
}

enum Read {
    Context(Box<prompt::Context>),
    Closed(PullRequestState),
    Dismissed,
    /// All reviews are still empty after the waiting time.
    Silent,
    /// The forge refuses permanently.
    Unavailable,
    Fault(ContextFault),
}

async fn read(ctx: &Context, job: &Job) -> Result<Read, Error> {
    let (Some(id), Some(key)) = (job.reviewed_pull_request(), &job.ticket) else {
        return Err(Error::Inconsistent(format!("{} waits for a review and has no pull request", job.id)));
    };
    let (project, integration, repository, (linked, all), text) = tokio::try_join!(
        ctx.store.project(&job.project),
        ctx.store.integration(&job.integration),
        ctx.store.repository(&job.project, &job.integration, job.repository),
        ctx.store.link_and_reviews(&id),
        ctx.store.ticket_text(&job.project, key),
    )?;
    let mut told = BTreeSet::new();
    // The covered reviews, and the owed ones, which the job takes over once their texts are read.
    let (first, mut covered, owed) = match job.kind {
        JobKind::Revise => {
            let first = first_of(ctx, job).await?;
            let covered: Vec<Review> = covered_reviews(&first, &all).into_iter().cloned().collect();
            // First, because later steps may end the job, and its reviews' ledger entries must name it.
            conclude(ctx, job, &id, &covered, &mut told).await?;
            (first, covered, Vec::new())
        }
        JobKind::Implement => {
            let owed = owed(ctx, job, &all).await?;
            (job.id.clone(), covered_with(&job.id, &all, &owed), owed)
        }
    };
    let (Some(integration), Some(repository)) = (integration, repository) else {
        return Ok(Read::Unavailable);
    };
    if let Some(linked) = linked.filter(|linked| linked.state != PullRequestState::Open) {
        return Ok(Read::Closed(linked.state));
    }
    let asked = match forge_of(ctx, &integration, &repository).await {
        Ok(forge) => {
            let (integration, repository) = (&integration, &repository);
            let source = Source { ctx, job, first: &first, integration, forge: &forge, repository };
            source.read(&id, &mut covered, &all).await
        }
        Err(error) => Err(error.into()),
    };
    let mut review = match asked {
        Ok(review) => review,
        Err(Stopped::Unread(Unread::Closed(state))) => return Ok(Read::Closed(state)),
        Err(Stopped::Unread(Unread::Dismissed)) => return Ok(Read::Dismissed),
        Err(Stopped::Unread(Unread::Silent { asked })) => {
            return Ok(job.missing_text_fault(asked, ctx.clock.now()).map_or(Read::Silent, Read::Fault));
        }
        Err(Stopped::Unread(Unread::Forge(error))) => return Ok(unread(&job.id, &error, ctx.clock.now())),
        // Our credentials are missing or denied. The job waits up to a day for them.
        Err(Stopped::Ours(Error::Cloud(error))) => {
            return Ok(Read::Fault(ContextFault::Away { reason: format_error_chain(&error) }));
        }
        Err(Stopped::Ours(error)) => return Err(error),
    };
    let taken = take_over(ctx, &job.id, &owed).await?;
    if taken.len() < owed.len() {
        covered = covered_with(&job.id, &all, &taken);
        review.reviews.retain(|read| covered.iter().any(|review| review.id.as_str() == read.id.to_string()));
    }
    if job.kind == JobKind::Implement && covered.is_empty() {
        return frozen_alone(ctx, job).await;
    }
    conclude(ctx, job, &id, &covered, &mut told).await?;
    let messages = request_messages(&covered);
    let context = match frozen(ctx, job).await? {
        Some(frozen) => prompt::Context { review: Some(review), ..frozen.with_requests(&messages) },
        None => prompt::Context {
            v: 2,
            kind: JobKind::Revise,
            ticket: Some((key.clone(), text.map_or_else(TicketText::default, |stored| stored.text))),
            instructions: (!messages.is_empty()).then(|| messages.join("\n\n")),
            base: review.pull_request.base.clone(),
            review: Some(review),
            commands: project.as_ref().and_then(|project| JobCommands::from_settings(&project.settings, &repository)),
            author: project.as_ref().and_then(|project| commits::Author::from_settings(&project.settings)),
            repository: repository.resolve_agent(&project.map(|project| project.settings).unwrap_or_default()),
        },
    };
    Ok(Read::Context(Box::new(context)))
}

async fn frozen(ctx: &Context, job: &Job) -> Result<Option<prompt::Context>, Error> {
    if job.context.is_empty() { Ok(None) } else { Ok(ctx.store.context(&job.id, &job.context).await?) }
}

/// Sets the job in the ledger entries of its reviews. `told` collects the reviews already done.
async fn conclude(
    ctx: &Context,
    job: &Job,
    id: &PullRequestId,
    covered: &[Review],
    told: &mut BTreeSet<ReviewId>,
) -> Result<(), Error> {
    for review in covered {
        if !told.insert(review.id.clone()) {
            continue;
        }
        let entry = DeliveryId::for_review(&review.project, id, &review.id);
        // Most entries name their job already, and a refused conditional write costs as much as a successful one.
        if ctx.store.delivery(&entry).await?.is_some_and(|told| told.job.is_some()) {
            continue;
        }
        ctx.store.conclude(&entry, &Conclusion::Covered(job.id.clone())).await?;
    }
    Ok(())
}

/// Sets the job in the ledger entries of its unread reviews. It runs before the job's end is written, because no later
/// step would do it; after a crash the job is still Pending.
/// Idempotent: each entry is set once, and repeats are answered from the review. No entry names a wrong job, even if
/// another process ends the job and the next job takes over a review concurrently.
pub(crate) async fn name_unread(ctx: &Context, job: &Job) -> Result<(), Error> {
    let Some(id) = job.reviewed_pull_request() else { return Ok(()) };
    let read = async {
        let first = match job.kind {
            JobKind::Revise => first_of(ctx, job).await?,
            JobKind::Implement => job.id.clone(),
        };
        Ok::<_, Error>((first, ctx.store.reviews(&id).await?))
    };
    let Some((first, all)) = skip_corrupt(ctx, read.await)? else { return Ok(()) };
    for review in covered_reviews(&first, &all) {
        skip_corrupt(ctx, conclude(ctx, job, &id, std::slice::from_ref(review), &mut BTreeSet::new()).await)?;
    }
    Ok(())
}

fn unread(job: &JobId, error: &pullyard_forge::Error, now: Timestamp) -> Read {
    use pullyard_forge::Meaning;
    tracing::info!(job.id = %job, error = %error, "the forge did not return the review");
    match error.meaning() {
        Meaning::Missing | Meaning::Denied | Meaning::Refused => Read::Unavailable,
        Meaning::RateLimited { retry_after } => {
            let rest = retry_after.clamp(Duration::from_secs(1), Duration::from_secs(3_600));
            Read::Fault(ContextFault::RateLimited { until: now.plus(rest) })
        }
        Meaning::Unavailable | Meaning::Unknown => {
            Read::Fault(ContextFault::Away { reason: format_error_chain(error) })
        }
    }
}

pub(super) fn revising(linked: &PullRequest, job: &Job) -> bool {
    job.pull_request().as_ref() == Some(&linked.id) && !job.status.is_terminal()
}
