//! A review that asks for changes: how a forge tells it, and how the table keeps it.
//!
//! Its words are not here: they are read from the forge when the job is made. Whether it may start a job
//! is in [`guard`], and what becomes of reviews that waited in [`settle`].

pub mod guard;
pub mod settle;

use crate::decision::Reason;
use crate::delivery::Source;
use crate::id::{DeliveryId, EventId, JobId, ProjectId, RepositoryName, ReviewId, TicketKey};
use crate::job::{Job, may_be_retried};
use crate::project::{ForgeKind, Settings};
use crate::pull_request::PullRequestState;
use crate::pull_request_id::PullRequestId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The longest message of a person who asks for a revision. Units: characters.
pub const LONGEST_MESSAGE: usize = 4_000;

/// Somebody asks for changes to a pull request, freed of the forge's format. Everything that names it comes
/// from what was signed, or from the forge's own answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewEvent {
    pub source: Source,
    /// What the forge calls the delivery. Not signed: kept to be shown, never decides.
    pub delivery: Option<EventId>,
    pub review: ReviewId,
    pub asks: Asks,
    pub author: Author,
    pub submitted_at: Timestamp,
    pub marked: bool,
    /// The pull request as told with it.
    pub pull_request: SeenPullRequest,
}

impl ReviewEvent {
    /// Its entry in the ledger of the project that it is decided for.
    pub fn ledger_id(&self, project: &ProjectId) -> DeliveryId {
        DeliveryId::of_review(project, &self.pull_request.id, &self.review)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Asks {
    Changes {},
    /// A person asks for a revision: by command, comment or label. It goes before the six guards.
    Revision {
        message: Option<String>,
    },
    /// Nothing new: a review was edited.
    Edited {},
    Nothing {
        event: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// The forge's id of the account; may pass 2^53.
    pub id: u64,
    pub login: String,
    pub bot: bool,
}

/// A pull request as a forge told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenPullRequest {
    pub id: PullRequestId,
    pub repository: RepositoryName,
    pub state: PullRequestState,
    /// The commit at its head.
    pub head: String,
    pub branch: String,
    pub url: String,
    pub updated_at: Timestamp,
}

/// Whether an account may start jobs for a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// It may write there, or a person of ours vouches for it.
    Write,
    Less,
    /// The forge did not say.
    Unknown,
}

/// One review as the table keeps it: which job it belongs to, once it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub pull_request: PullRequestId,
    pub id: ReviewId,
    pub project: ProjectId,
    pub ticket: TicketKey,
    pub author: Author,
    pub submitted_at: Timestamp,
    /// What a person asks for; none for a forge's review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    pub at: Timestamp,
    pub state: ReviewState,
    /// Raised whenever it absorbs others, and whenever it waits anew: who refuses it must have seen that.
    #[serde(default)]
    pub version: u32,
    /// Its words were changed after it was submitted, as the forge told us: asked for a review, it does not say.
    #[serde(default)]
    pub edited: bool,
    /// Which job had it last when it waited, or was refused, anew: its next one is named after that, since each is made
    /// once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub had: Option<JobId>,
}

/// A person's request for a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ReviewState {
    /// It waits to be covered by a later job.
    Deferred {},
    /// It is covered by whatever covers that newer one.
    Absorbed { into: ReviewId },
    /// This job was made for it.
    Started { job: JobId },
    /// It waited, and then could not start a job any more.
    Refused { reason: Reason, at: Timestamp },
}

impl ReviewState {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Deferred {} => "deferred",
            Self::Absorbed { .. } => "absorbed",
            Self::Started { .. } => "started",
            Self::Refused { .. } => "refused",
        }
    }
}

impl Review {
    pub fn of(event: &ReviewEvent, project: &ProjectId, ticket: &TicketKey, state: ReviewState, at: Timestamp) -> Self {
        Self {
            pull_request: event.pull_request.id.clone(),
            id: event.review.clone(),
            project: project.clone(),
            ticket: ticket.clone(),
            author: event.author.clone(),
            submitted_at: event.submitted_at,
            request: match &event.asks {
                Asks::Revision { message } => Some(Request { message: message.clone() }),
                _ => None,
            },
            at,
            state,
            version: 0,
            edited: false,
            had: None,
        }
    }

    /// The same review once more, after it was refused, if it was: a version later, still known as edited, and by the
    /// job that had it.
    pub fn after(self, refused: Option<&Self>) -> Self {
        let Some(refused) = refused else { return self };
        Self {
            version: refused.version.saturating_add(1),
            edited: self.edited || refused.edited,
            had: self.had.or_else(|| refused.had.clone()),
            ..self
        }
    }

    pub fn job(&self) -> Option<&JobId> {
        match &self.state {
            ReviewState::Started { job } => Some(job),
            ReviewState::Deferred {} | ReviewState::Absorbed { .. } | ReviewState::Refused { .. } => None,
        }
    }

    /// The job that is made for it next: the same for whoever makes it.
    pub fn next_job(&self) -> JobId {
        match &self.had {
            None => JobId::of_review(&self.pull_request, &self.id),
            Some(had) => JobId::of_review_after(&self.pull_request, &self.id, had),
        }
    }

    /// The same review as this job's, whatever became of it before.
    pub fn taken_by(&self, job: &JobId) -> Self {
        Self { state: ReviewState::Started { job: job.clone() }, ..self.clone() }.after(Some(self))
    }

    /// The same review once more, waiting, whatever became of it before; none where its project has nothing wait.
    pub fn waiting_anew(&self, settings: &Settings) -> Option<Self> {
        settings.coalesce.then(|| self.anew(ReviewState::Deferred {}))
    }

    /// The same review with the answer that it had got, had it waited for the job which has it; none if that is not
    /// this one, or did not end without its work. Whoever asks is told of it then, also when others completed since.
    pub fn given_back(&self, by: &Job, at: Timestamp) -> Option<Self> {
        if self.job() != Some(&by.id) || may_be_retried(by).is_err() {
            return None;
        }
        let outcome = by.status.as_str().to_owned();
        let reason = Reason::PreviousJobNotCompleted { ticket: self.ticket.clone(), outcome }.clipped();
        Some(self.anew(ReviewState::Refused { reason, at }))
    }

    /// The same review once more, without the job that had it.
    fn anew(&self, state: ReviewState) -> Self {
        let had = self.job().or(self.had.as_ref()).cloned();
        Self { state, had, ..self.clone() }.after(Some(self))
    }
}

/// The reviews that nobody answered: they waited for a job which then failed, or one of `unfinished` was to answer them,
/// which have ended without that. The ticket's next job is told of them.
pub fn unanswered<'a>(
    all: &'a [Review],
    project: &ProjectId,
    ticket: &TicketKey,
    unfinished: &BTreeSet<JobId>,
) -> Vec<&'a Review> {
    let is_left = |state: &ReviewState| match state {
        ReviewState::Refused { reason, .. } => matches!(reason, Reason::PreviousJobNotCompleted { .. }),
        ReviewState::Started { job } => unfinished.contains(job),
        // What was absorbed goes with what absorbed it.
        ReviewState::Deferred {} | ReviewState::Absorbed { .. } => false,
    };
    let is_ours = |review: &Review| review.project == *project && review.ticket == *ticket;
    all.iter().filter(|review| is_left(&review.state) && is_ours(review)).collect()
}

/// The same of what people asked for alone: no list of the forge's has that.
pub fn unanswered_requests<'a>(
    all: &'a [Review],
    project: &ProjectId,
    ticket: &TicketKey,
    unfinished: &BTreeSet<JobId>,
) -> Vec<&'a Review> {
    let mut left = unanswered(all, project, ticket, unfinished);
    left.retain(|review| review.request.is_some());
    left
}

/// What people want beside the reviews that a job covers, in the order of these: what was said again, with a request
/// that follows one whose revision failed, stands where it was said last.
pub fn messages(covered: &[Review]) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for message in covered.iter().filter_map(|review| review.request.as_ref()?.message.as_ref()) {
        messages.retain(|before| before != message);
        messages.push(message.clone());
    }
    messages
}

/// Which of the jobs that have reviews have to be read to know whether they left them, as [`leaves_reviews`] says: of
/// revisions `last` alone. A revision is known by its name, which is made of one of `all` the pull request's reviews;
/// one whose review had another job since may not be, and is read in vain.
///
/// [`leaves_reviews`]: crate::job::leaves_reviews
pub fn may_leave_reviews(having: &BTreeSet<&JobId>, all: &[Review], last: Option<&JobId>) -> Vec<JobId> {
    let made_for = |review: &Review| [JobId::of_review(&review.pull_request, &review.id), review.next_job()];
    let revisions: BTreeSet<JobId> = all.iter().flat_map(made_for).collect();
    let may = |id: &&JobId| last == Some(*id) || !revisions.contains(*id);
    having.iter().copied().filter(may).cloned().collect()
}

/// Which of the forge's reviews that nobody answered a job is told of beside those that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// What the authors of those that it covers had asked for before.
    Earlier,
    /// All of them, and what people asked for.
    All,
}

impl Takes {
    /// Whether one of this author and of that time is among them, for the job that covers these.
    pub fn has(self, covered: &[Review], author: Option<u64>, submitted_at: Option<Timestamp>) -> bool {
        let came_before = |one: &Review| {
            one.request.is_none()
                && author == Some(one.author.id)
                && submitted_at.is_some_and(|submitted_at| submitted_at < one.submitted_at)
        };
        match self {
            Self::Nothing => false,
            Self::Earlier => covered.iter().any(came_before),
            Self::All => true,
        }
    }
}

/// What the job that covers these is told of as well. All, if a person asked for it, with whatever else they cover by
/// now, or if others have its reviews since, or it had nothing to do.
///
/// On Bitbucket a request for changes has no words of its own: they are its author's since their request before it. Was
/// that refused, or taken back before a job read it, the comments that came with it are told with the next one.
pub fn takes_unanswered(kind: ForgeKind, covered: &[Review]) -> Takes {
    if covered.is_empty() || covered.iter().any(|review| review.request.is_some()) {
        return Takes::All;
    }
    if kind.has_one_request_each() { Takes::Earlier } else { Takes::Nothing }
}

/// The jobs that have what the authors of these had asked for before. Where requests have no words of their own, what was
/// written after one is read with it while it is the last, and is among the words of the next as well; where the forge
/// forgets a request that was withdrawn, among those of every later one. None where each has its own.
pub fn told_before<'a>(kind: ForgeKind, covered: &[Review], all: &'a [Review]) -> BTreeSet<&'a JobId> {
    if !kind.has_one_request_each() {
        return BTreeSet::new();
    }
    let is_covered = |one: &Review| covered.iter().any(|review| review.id == one.id);
    let is_before = |one: &&Review| {
        let comes_after = |review: &Review| {
            review.request.is_none()
                && one.project == review.project
                && one.author.id == review.author.id
                && one.submitted_at < review.submitted_at
        };
        one.request.is_none() && !is_covered(one) && covered.iter().any(comes_after)
    };
    all.iter().filter(is_before).filter_map(|one| resolved(one, all).job()).collect()
}

/// The reviews that stand behind these: they were absorbed by one of them.
pub fn absorbed_by<'a>(these: &[Review], all: &'a [Review]) -> Vec<&'a Review> {
    let is_behind = |review: &Review| {
        let stands_for_it = &resolved(review, all).id;
        *stands_for_it != review.id && these.iter().any(|one| one.id == *stands_for_it)
    };
    all.iter().filter(|review| is_behind(review)).collect()
}

/// What became of a review that was absorbed, of all reviews of its pull request: the state of the one at
/// the end of its way.
pub fn resolved<'a>(review: &'a Review, all: &'a [Review]) -> &'a Review {
    let mut at = review;
    // Each step leads to a newer one, so there are no more steps than reviews.
    for _ in 0..all.len() {
        let ReviewState::Absorbed { into } = &at.state else { break };
        match all.iter().find(|other| other.id == *into) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

/// The reviews that this job covers, oldest first: the one it was made for, and all that were absorbed
/// into it. Which is older the forge's clock says, then ours, then the name.
pub fn covered<'a>(job: &JobId, all: &'a [Review]) -> Vec<&'a Review> {
    let is_ours =
        |review: &&Review| matches!(&resolved(review, all).state, ReviewState::Started { job: by } if by == job);
    let mut covered: Vec<&Review> = all.iter().filter(is_ours).collect();
    covered.sort_by_key(|review| (review.submitted_at, review.at, review.id.clone()));
    covered
}

#[cfg(test)]
mod tests;
