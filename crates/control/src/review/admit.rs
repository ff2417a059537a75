//! The words of the reviews that a job covers are read from the forge and frozen; then anybody may run it.
//!
//! A forge that is away costs time and nothing else: the job waits, its ticket stays locked, its hour runs.

use super::owed::{covered_with, first_of, have_wait, owed, take_over};
use super::read::Unread;
use super::source::{Source, Stopped};
use crate::ending::write_end;
use crate::forge::forge_of;
use crate::sweep::put_off;
use crate::{Context, Error};
use pullyard_domain::checks::JobCommands;
use pullyard_domain::commits;
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{DeliveryId, JobId, ReviewId};
use pullyard_domain::job::{Cancel, ContextFault, Job, Kind, NotNow, Place, Status};
use pullyard_domain::prompt;
use pullyard_domain::pull_request::{PullRequest, PullRequestId, PullRequestState};
use pullyard_domain::review::{Review, covered, messages};
use pullyard_domain::text::causes;
use pullyard_domain::time::Timestamp;
use pullyard_store::{Conclusion, Error as StoreError, Proof, WorkKey, Write};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a job that can do without them asks for reviews.
const MOST_TRIES: u32 = 5;

/// What became of a job whose review was to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    Ready,
    Later,
    Ended,
    /// It was not waiting for this, or not yet again.
    Nothing,
}

/// Reads and freezes what a job's reviewers wrote.
///
/// Idempotent: a job that is not Pending any more needs nothing; what is frozen is named by its content.
/// Errors: only those of our own services; what is wrong with the forge is kept on the job. Where no repeat helps, the
/// job is left alone for a while, longer each time: it stays due, and the sweeper would send for it in every round.
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
        if job.status != Status::Pending || again || is_put_off {
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
                job.admitted(frozen, &head, ctx.clock.now())
            }
            Read::Closed(state) => job.cancelled(closed(&job, state, now), now),
            Read::Dismissed => job.cancelled(Cancel::by_itself("its reviews were dismissed", now), now),
            Read::Silent => job.cancelled(Cancel::by_itself("its reviews say nothing", now), now),
            Read::Unavailable => job.given_up(job.context_unavailable(tries_of(&job).saturating_add(1)), now),
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

fn tries_of(job: &Job) -> u32 {
    job.waits.as_ref().map_or(0, |waits| waits.tries)
}

/// It can do its work without them, and must not wait for ever.
fn may_go_on_alone(read: &Read, job: &Job) -> bool {
    job.kind == Kind::Implement
        && match read {
            Read::Closed(_) | Read::Dismissed | Read::Silent | Read::Unavailable => true,
            Read::Fault(_) => tries_of(job) >= MOST_TRIES,
            Read::Context(_) => false,
        }
}

/// A job goes on without the reviews that it can't be told of; those that may still be answered wait for its end.
/// Where some are its own already, since somebody died before it could begin with them, they are waited for or given
/// up with it: nobody else would be told of them.
async fn alone(ctx: &Context, job: &Job, read: Read) -> Result<Read, Error> {
    let may_be_answered = matches!(read, Read::Silent | Read::Unavailable | Read::Fault(_));
    if let Some(id) = job.reviewed().filter(|_| may_be_answered) {
        let all = ctx.store.reviews(&id).await?;
        // Those that say nothing by now give it nothing more to do.
        if !covered(&job.id, &all).is_empty() && !matches!(read, Read::Silent) {
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
    /// All that it was made for was dismissed.
    Dismissed,
    /// All that it was made for is without a word, and words had their time.
    Silent,
    /// The forge will not give it, today or tomorrow.
    Unavailable,
    Fault(ContextFault),
}

async fn read(ctx: &Context, job: &Job) -> Result<Read, Error> {
    let (Some(id), Some(key)) = (job.reviewed(), &job.ticket) else {
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
    // What it covers, and those of it that it gets only once it was read what they say.
    let (first, mut covered, owed) = match job.kind {
        Kind::Revise => {
            let first = first_of(ctx, job).await?;
            let covered: Vec<Review> = covered(&first, &all).into_iter().cloned().collect();
            // Before anything that may end the job: what it was made for names it, however it ends.
            conclude(ctx, job, &id, &covered, &mut told).await?;
            (first, covered, Vec::new())
        }
        Kind::Implement => {
            let owed = owed(ctx, job, &all).await?;
            (job.id.clone(), covered_with(&job.id, &all, &owed), owed)
        }
    };
    let (Some(integration), Some(repository)) = (integration, repository) else {
        // Disconnected since: there is nobody to ask.
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
            return Ok(job.silent(asked, ctx.clock.now()).map_or(Read::Silent, Read::Fault));
        }
        Err(Stopped::Unread(Unread::Forge(error))) => return Ok(unread(&job.id, &error, ctx.clock.now())),
        // Somebody took our credentials away; the day that they have to bring them back runs.
        Err(Stopped::Ours(Error::Cloud(error))) => {
            return Ok(Read::Fault(ContextFault::Away { reason: causes(&error) }));
        }
        Err(Stopped::Ours(error)) => return Err(error),
    };
    let taken = take_over(ctx, &job.id, &owed).await?;
    if taken.len() < owed.len() {
        covered = covered_with(&job.id, &all, &taken);
        review.reviews.retain(|read| covered.iter().any(|review| review.id.as_str() == read.id.to_string()));
    }
    if job.kind == Kind::Implement && covered.is_empty() {
        return frozen_alone(ctx, job).await;
    }
    conclude(ctx, job, &id, &covered, &mut told).await?;
    let messages = messages(&covered);
    let context = match frozen(ctx, job).await? {
        Some(frozen) => prompt::Context { review: Some(review), ..frozen.asked_for(&messages) },
        None => prompt::Context {
            v: 2,
            kind: Kind::Revise,
            ticket: Some((key.clone(), text.map_or_else(TicketText::default, |stored| stored.text))),
            instructions: (!messages.is_empty()).then(|| messages.join("\n\n")),
            base: review.pull_request.base.clone(),
            review: Some(review),
            commands: project.as_ref().and_then(|project| JobCommands::of(&project.settings, &repository)),
            author: project.as_ref().and_then(|project| commits::Author::of(&project.settings)),
            repository: repository.under(&project.map(|project| project.settings).unwrap_or_default()),
        },
    };
    Ok(Read::Context(Box::new(context)))
}

/// What was frozen when the job was made, if anything was.
async fn frozen(ctx: &Context, job: &Job) -> Result<Option<prompt::Context>, Error> {
    if job.context.is_empty() { Ok(None) } else { Ok(ctx.store.context(&job.id, &job.context).await?) }
}

/// Reviews that waited are in a job now: their ledger entries name it. `told` are those that do.
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
        let entry = DeliveryId::of_review(&review.project, id, &review.id);
        // Looked at first: most reviews made their job themselves, and a write that is refused is charged, too.
        if ctx.store.delivery(&entry).await?.is_some_and(|told| told.job.is_some()) {
            continue;
        }
        // Stale: it names its job by now.
        ctx.store.conclude(&entry, &Conclusion::Covered(job.id.clone())).await?;
    }
    Ok(())
}

/// The reviews of a job that ends before it was read what they say name it all the same, whoever ends it: nobody looks
/// at it again, and they would be held for ever.
///
/// Idempotent: before its end is written, so that whoever is stopped in between leaves a job that waits as before.
///
/// Where somebody else wrote the end meanwhile, the ticket's next job may take one of them over while this goes on. No
/// entry is named after a wrong job by that: whoever wrote the end had named all that this job had by then, and none is
/// named twice. One that this job took over between that and its end names whichever of the two is quicker: each had
/// it, and what a repeat is answered goes by the review, not by its entry.
pub(crate) async fn name_unread(ctx: &Context, job: &Job) -> Result<(), Error> {
    let Some(id) = job.reviewed() else { return Ok(()) };
    let read = async {
        let first = match job.kind {
            Kind::Revise => first_of(ctx, job).await?,
            Kind::Implement => job.id.clone(),
        };
        Ok((first, ctx.store.reviews(&id).await?))
    };
    let Some((first, all)) = if_legible(job, read.await)? else { return Ok(()) };
    for review in covered(&first, &all) {
        if_legible(job, conclude(ctx, job, &id, std::slice::from_ref(review), &mut BTreeSet::new()).await)?;
    }
    Ok(())
}

/// None where it can't be read: whoever ends the job can't mend that, and its ticket must come free.
fn if_legible<T>(job: &Job, read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(Error::Store(error @ StoreError::Corrupt { .. })) => {
            tracing::warn!(job.id = %job.id, error = %error, "what a job was made for can't be read: a review may not name it");
            Ok(None)
        }
        read => read.map(Some),
    }
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
