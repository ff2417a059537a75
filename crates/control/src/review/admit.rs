//! The words of the reviews that a job covers are read from the forge and frozen; then anybody may run it.
//!
//! A forge that is away costs time and nothing else: the job waits, its ticket stays locked, its hour runs.

use super::permission::ask;
use super::read::{Unread, read_pull_request, read_reviews, read_unanswered, time_of};
use crate::ending::write_end;
use crate::forge::forge_of;
use crate::{Context, Error};
use pullyard_domain::checks::JobCommands;
use pullyard_domain::commits;
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{DeliveryId, JobId, ReviewId};
use pullyard_domain::job::{Cancel, ContextFault, Job, Kind, NotNow, Place, Status};
use pullyard_domain::marker::Marker;
use pullyard_domain::project::{Integration, Repository};
use pullyard_domain::prompt;
use pullyard_domain::prompt::review::ReviewContext;
use pullyard_domain::pull_request::{PullRequest, PullRequestId, PullRequestState};
use pullyard_domain::review::{Author, Permission, Review, ReviewState, covered, unanswered};
use pullyard_domain::text::causes;
use pullyard_domain::time::Timestamp;
use pullyard_forge::Forge;
use pullyard_store::{Conclusion, Proof, Write};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a job that can do without them asks for reviews.
const MOST_TRIES: u32 = 5;

/// How many retries of one revision are followed back.
const MOST_RETRIES: usize = 50;

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
        let Some(job) = rounds.reads(ctx).job(id).await? else { return Ok(Admitted::Nothing) };
        let again = job.waits.as_ref().is_some_and(|waits| waits.tries > 0 && now < waits.next);
        if job.status != Status::Pending || again {
            if rounds.look_again() {
                continue;
            }
            return Ok(Admitted::Nothing);
        }
        let read = match read(ctx, &job).await? {
            // It can do its work without them, and must not wait for ever.
            Read::Closed(_) | Read::Dismissed | Read::Unavailable if job.kind == Kind::Implement => {
                frozen_alone(ctx, &job).await?
            }
            Read::Fault(_) if job.kind == Kind::Implement && tries_of(&job) >= MOST_TRIES => {
                frozen_alone(ctx, &job).await?
            }
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
    /// The forge will not give it, today or tomorrow.
    Unavailable,
    /// Not this time.
    Fault(ContextFault),
}

async fn read(ctx: &Context, job: &Job) -> Result<Read, Error> {
    let (Some(id), Some(key)) = (job.reviewed(), &job.ticket) else {
        return Err(Error::Inconsistent(format!("{} waits for a review and has no pull request", job.id)));
    };
    let reads = ctx.store.eventually();
    let (project, integration, repository, linked, all, text) = tokio::try_join!(
        reads.project(&job.project),
        reads.integration(&job.integration),
        ctx.store.repository(&job.project, &job.integration, job.repository),
        ctx.store.pull_request(&id),
        ctx.store.reviews(&id),
        ctx.store.ticket_text(&job.project, key),
    )?;
    let mut covered: Vec<Review> = covered(&first_of(ctx, job).await?, &all).into_iter().cloned().collect();
    // Before anything that may end the job: what it was made for names it, however it ends.
    let mut told = BTreeSet::new();
    conclude(ctx, job, &id, &covered, &mut told).await?;
    let (Some(integration), Some(repository)) = (integration, repository) else {
        // Disconnected since: there is nobody to ask.
        return Ok(Read::Unavailable);
    };
    if let Some(linked) = linked.as_ref().filter(|linked| linked.state != PullRequestState::Open) {
        return Ok(Read::Closed(linked.state));
    }
    if job.kind == Kind::Implement {
        for review in unanswered(&all, &job.project, key) {
            let state = ReviewState::Started { job: job.id.clone() };
            let taken = Review { state, version: review.version.saturating_add(1), ..review.clone() };
            // Stale: somebody sent it again meanwhile, and it has its own way.
            if ctx.store.take_review(&taken).await? == Write::Applied {
                covered.push(taken);
            }
        }
    }
    let asked = match forge_of(ctx, &integration, &repository).await {
        Ok(forge) => {
            let source = Source { ctx, job, integration: &integration, forge: &forge, repository: &repository };
            source.read(&id, &mut covered, &all).await
        }
        Err(Error::Forge(error)) => Err(Stopped::Unread(Unread::Forge(error))),
        // Somebody took our credentials away; the day that they have to bring them back runs.
        Err(Error::Cloud(error)) => return Ok(Read::Fault(ContextFault::Away { reason: causes(&error) })),
        Err(error) => return Err(error),
    };
    let review = match asked {
        Ok(review) => review,
        Err(Stopped::Unread(Unread::Closed(state))) => return Ok(Read::Closed(state)),
        Err(Stopped::Unread(Unread::Dismissed)) => return Ok(Read::Dismissed),
        Err(Stopped::Unread(Unread::Forge(error))) => return Ok(unread(&job.id, &error, ctx.clock.now())),
        Err(Stopped::Ours(error)) => return Err(error),
    };
    conclude(ctx, job, &id, &covered, &mut told).await?;
    let messages: Vec<String> = covered.iter().filter_map(|review| review.request.as_ref()?.message.clone()).collect();
    let context = match frozen(ctx, job).await? {
        Some(frozen) => prompt::Context { review: Some(review), ..frozen },
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

/// The job that the reviews were given to: of retries the first.
async fn first_of(ctx: &Context, job: &Job) -> Result<JobId, Error> {
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

/// Whether reviews that waited for a failed job are to be read for this one, which goes on with their pull
/// request.
pub(crate) async fn has_unanswered(ctx: &Context, job: &Job) -> Result<bool, Error> {
    let (Some(id), Some(key)) = (job.reviewed(), &job.ticket) else { return Ok(false) };
    Ok(!unanswered(&ctx.store.reviews(&id).await?, &job.project, key).is_empty())
}

/// Where a job's reviews are read.
struct Source<'a> {
    ctx: &'a Context,
    job: &'a Job,
    integration: &'a Integration,
    forge: &'a Forge,
    repository: &'a Repository,
}

/// Why the reviews are not read: by the forge, or by a fault of our own services.
enum Stopped {
    Unread(Unread),
    Ours(Error),
}

impl From<Unread> for Stopped {
    fn from(unread: Unread) -> Self {
        Self::Unread(unread)
    }
}

impl Source<'_> {
    async fn read(
        &self,
        id: &PullRequestId,
        covered: &mut Vec<Review>,
        all: &[Review],
    ) -> Result<ReviewContext, Stopped> {
        let name = self.repository.name.as_str();
        let pull = read_pull_request(self.forge, name, id.number).await?;
        // A person's request without a review is for those that nobody answered.
        if self.job.kind == Kind::Revise && covered.iter().all(|review| review.request.is_some()) {
            for review in read_unanswered(self.forge, name, id.number, all).await? {
                covered.extend(self.take(id, review, all).await.map_err(Stopped::Ours)?);
            }
        }
        Ok(read_reviews(self.forge, name, pull, covered).await?)
    }

    /// Makes a review one of this job's, if its author may start jobs and nobody else has it.
    async fn take(
        &self,
        id: &PullRequestId,
        review: pullyard_forge::Review,
        all: &[Review],
    ) -> Result<Option<Review>, Error> {
        let (Some(author), Some(key)) = (review.author, &self.job.ticket) else { return Ok(None) };
        let author = Author { id: author.id, login: author.login, bot: author.is_bot };
        let ours = author.id == self.integration.account.id && (author.bot || Marker::is_on(&review.body));
        if ours || ask(self.ctx, self.integration, self.repository, &author).await? != Permission::Write {
            return Ok(None);
        }
        let name = ReviewId::new(review.id.to_string())
            .map_err(|_| Error::Inconsistent("a forge's id is no number".into()))?;
        let taken = Review {
            pull_request: id.clone(),
            id: name.clone(),
            project: self.job.project.clone(),
            ticket: key.clone(),
            author,
            submitted_at: review.submitted_at.map_or(self.job.created, time_of),
            request: None,
            at: self.ctx.clock.now(),
            version: 0,
            state: ReviewState::Started { job: self.job.id.clone() },
            edited: false,
        };
        let taken = taken.after(all.iter().find(|known| known.id == name));
        let written = self.ctx.store.take_review(&taken).await?;
        Ok((written == Write::Applied).then_some(taken))
    }
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
        if ctx.store.eventually().delivery(&entry).await?.is_some_and(|told| told.job.is_some()) {
            continue;
        }
        // Stale: it names its job by now.
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
