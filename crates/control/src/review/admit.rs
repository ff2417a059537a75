//! The words of the reviews that a job covers are read from the forge and frozen; then anybody may run it.
//!
//! A forge that is away costs time and nothing else: the job waits, its ticket stays locked, its hour runs.

use super::read::{Unread, read_reviews};
use crate::ending::write_end;
use crate::forge::forge_of;
use crate::{Context, Error};
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{DeliveryId, JobId};
use pullyard_domain::job::{Cancel, ContextFault, Job, Kind, NotNow, Place, Status};
use pullyard_domain::prompt;
use pullyard_domain::pull_request::{PullRequest, PullRequestId, PullRequestState};
use pullyard_domain::review::{Review, covered};
use pullyard_domain::text::causes;
use pullyard_domain::time::Timestamp;
use pullyard_store::{Conclusion, Proof, Write};
use std::time::Duration;

/// What became of a job whose review was to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It may be run now.
    Ready,
    /// It is tried again later.
    Later,
    /// It has ended.
    Ended,
    /// It was not waiting for this, or not yet again.
    Nothing,
}

/// Reads and freezes what a job's reviewers wrote.
///
/// Idempotent: a job that is not Pending any more needs nothing; what is frozen is named by its content.
/// Errors: only those of our own services; what is wrong with the forge is kept on the job.
pub async fn admit_job(ctx: &Context, id: &JobId) -> Result<Admitted, Error> {
    let mut rounds = ctx.rounds(id);
    loop {
        let now = ctx.clock.now();
        let Some(job) = ctx.store.job(id).await? else { return Ok(Admitted::Nothing) };
        let again = job.waits.as_ref().is_some_and(|waits| waits.tries > 0 && now < waits.next);
        if job.status != Status::Pending || again {
            return Ok(Admitted::Nothing);
        }
        let next = match read(ctx, &job).await? {
            Read::Context(context) => {
                let head = context.review.as_ref().map_or("", |review| review.pull_request.head.as_str()).to_owned();
                let frozen = ctx.store.freeze_context(&job.id, &context).await?;
                job.admitted(frozen, &head, ctx.clock.now())
            }
            Read::Closed(state) => job.cancelled(closed(&job, state, now), now),
            Read::Unavailable => {
                let tries = job.waits.as_ref().map_or(1, |waits| waits.tries.saturating_add(1));
                job.given_up(job.context_unavailable(tries), now)
            }
            Read::Fault(fault) => job.context_failed(fault, now),
        };
        let next = match next {
            Ok(next) => next,
            Err(NotNow::Already) => return Ok(Admitted::Nothing),
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

async fn announce(ctx: &Context, job: &Job) -> Admitted {
    match job.status {
        Status::Ready => {
            tracing::info!(job.id = %job.id, "the review of a job was read");
            if job.place == Place::Fargate {
                ctx.wake_job(&job.id).await;
            }
            Admitted::Ready
        }
        Status::Pending => {
            let fault = job.waits.as_ref().and_then(|waits| waits.fault.as_ref());
            tracing::info!(job.id = %job.id, fault = ?fault, "the review of a job could not be read; it is tried again");
            Admitted::Later
        }
        _ => Admitted::Ended,
    }
}

/// What a pull request that can't change any more means for its job.
pub(super) fn closed(job: &Job, state: PullRequestState, now: Timestamp) -> Cancel {
    let number = job.revises.as_ref().map_or(0, |revises| revises.number);
    Cancel::by_itself(&format!("#{number} was {}", state.words()), now)
}

enum Read {
    Context(Box<prompt::Context>),
    /// The pull request can't change any more.
    Closed(PullRequestState),
    /// The forge will not give it, today or tomorrow.
    Unavailable,
    /// Not this time.
    Fault(ContextFault),
}

async fn read(ctx: &Context, job: &Job) -> Result<Read, Error> {
    let (Some(id), Some(key)) = (job.pull_request(), &job.ticket) else {
        return Err(Error::Inconsistent(format!("{} waits for a review and revises nothing", job.id)));
    };
    let (integration, repository, linked, all, text) = tokio::try_join!(
        ctx.store.integration(&job.integration),
        ctx.store.repository(&job.project, &job.integration, job.repository),
        ctx.store.pull_request(&id),
        ctx.store.reviews(&id),
        ctx.store.ticket_text(&job.project, key),
    )?;
    let covered: Vec<Review> = covered(&job.id, &all).into_iter().cloned().collect();
    // Before anything that may end the job: what it was made for names it, however it ends.
    conclude(ctx, job, &id, &covered).await?;
    let (Some(integration), Some(repository)) = (integration, repository) else {
        // Disconnected since: there is nobody to ask.
        return Ok(Read::Unavailable);
    };
    if let Some(linked) = linked.as_ref().filter(|linked| linked.state != PullRequestState::Open) {
        return Ok(Read::Closed(linked.state));
    }
    let asked = match forge_of(ctx, &integration).await {
        Ok(forge) => read_reviews(&forge, repository.name.as_str(), id.number, &covered, &all).await,
        Err(Error::Forge(error)) => Err(Unread::Forge(error)),
        Err(error) => return Err(error),
    };
    let review = match asked {
        Ok(review) => review,
        Err(Unread::Closed(state)) => return Ok(Read::Closed(state)),
        Err(Unread::Forge(error)) => return Ok(unread(&job.id, &error, ctx.clock.now())),
    };
    let messages: Vec<String> = covered.iter().filter_map(|review| review.request.as_ref()?.message.clone()).collect();
    Ok(Read::Context(Box::new(prompt::Context {
        v: 2,
        kind: Kind::Revise,
        ticket: Some((key.clone(), text.map_or_else(TicketText::default, |stored| stored.text))),
        instructions: (!messages.is_empty()).then(|| messages.join("\n\n")),
        base: review.pull_request.base.clone(),
        review: Some(review),
        repository,
    })))
}

/// Reviews that waited are in a job now: their ledger entries name it.
async fn conclude(ctx: &Context, job: &Job, id: &PullRequestId, covered: &[Review]) -> Result<(), Error> {
    for review in covered {
        let entry = DeliveryId::of_review(id, &review.id);
        // Stale: it names its job already.
        ctx.store.conclude(&entry, &Conclusion::Covered(job.id.clone())).await?;
    }
    Ok(())
}

fn unread(job: &JobId, error: &pullyard_forge::Error, now: Timestamp) -> Read {
    use pullyard_forge::Meaning;
    tracing::info!(job.id = %job, error = %error, "the forge did not give the review");
    match error.meaning() {
        Meaning::Missing | Meaning::Denied | Meaning::Refused => Read::Unavailable,
        Meaning::RateLimited { retry_after } => {
            let rest = retry_after.clamp(Duration::from_secs(1), Duration::from_secs(3_600));
            Read::Fault(ContextFault::RateLimited { until: now.plus(rest) })
        }
        Meaning::Unavailable | Meaning::Unknown => Read::Fault(ContextFault::Away { reason: causes(error) }),
    }
}

/// Used by whoever hears that a pull request was closed: its job, if that revises it.
pub(super) fn revising(linked: &PullRequest, job: &Job) -> bool {
    job.pull_request().as_ref() == Some(&linked.id) && !job.status.is_terminal()
}
