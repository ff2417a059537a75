//! A review that requests changes, as a forge tells it and as the table stores it.
//!
//! Its text is not stored: it is read from the forge when the job is made. [`guard`] decides whether it may start a
//! job, [`settle`] decides about reviews that waited.

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

/// Longest message of a request for a revision. Units: characters.
pub const LONGEST_MESSAGE: usize = 4_000;

/// A request for changes to a pull request, in one form for all forges. Its names come
/// from signed data, or from the forge's own answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewEvent {
    pub source: Source,
    /// The forge's name of the delivery. Not signed: for display only.
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
    /// Its ledger entry in this project.
    pub fn ledger_id(&self, project: &ProjectId) -> DeliveryId {
        DeliveryId::of_review(project, &self.pull_request.id, &self.review)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Asks {
    Changes {},
    /// A person asks for a revision by command, comment or label. It precedes the six guards.
    Revision {
        message: Option<String>,
    },
    /// An edited review asks for nothing new.
    Edited {},
    Nothing {
        event: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// The forge's id of the account; may exceed 2^53.
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
    pub head: String,
    pub branch: String,
    pub url: String,
    pub updated_at: Timestamp,
}

/// Whether an account may start jobs for a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// It may push, or a Pullyard user vouches for it.
    Write,
    Less,
    /// The forge did not answer.
    Unknown,
}

/// A stored review and its job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub pull_request: PullRequestId,
    pub id: ReviewId,
    pub project: ProjectId,
    pub ticket: TicketKey,
    pub author: Author,
    pub submitted_at: Timestamp,
    /// A person's request; `None` for a review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    pub at: Timestamp,
    pub state: ReviewState,
    /// Raised when it absorbs others and when it waits again. Whoever refuses it must have seen that.
    #[serde(default)]
    pub version: u32,
    /// The forge reported an edit after it was submitted. Its list of reviews does not show edits.
    #[serde(default)]
    pub edited: bool,
    /// The last job that had it when it waited or was refused again. Its next job is named after it, because each job is
    /// made once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub had: Option<JobId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ReviewState {
    /// It waits for a later job.
    Deferred {},
    /// The job of the newer review covers it.
    Absorbed { into: ReviewId },
    /// This job was made for it.
    Started { job: JobId },
    /// It waited, and then could not start a job.
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

    /// The review again after it was refused: one version later, still marked as edited, and with the
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

    /// The next job of the review: the same id for every caller.
    pub fn next_job(&self) -> JobId {
        match &self.had {
            None => JobId::of_review(&self.pull_request, &self.id),
            Some(had) => JobId::of_review_after(&self.pull_request, &self.id, had),
        }
    }

    /// The review as covered by this job.
    pub fn taken_by(&self, job: &JobId) -> Self {
        Self { state: ReviewState::Started { job: job.clone() }, ..self.clone() }.after(Some(self))
    }

    /// The review waiting again. `None` if its project lets none wait.
    pub fn waiting_anew(&self, settings: &Settings) -> Option<Self> {
        settings.coalesce.then(|| self.anew(ReviewState::Deferred {}))
    }

    /// The review with the answer that it had, as if it had waited for its job. `None` if that job is another, or
    /// did its work. Whoever asks is told of the review then, even if other jobs completed since.
    pub fn given_back(&self, by: &Job, at: Timestamp) -> Option<Self> {
        if self.job() != Some(&by.id) || may_be_retried(by).is_err() {
            return None;
        }
        let outcome = by.status.as_str().to_owned();
        let reason = Reason::PreviousJobNotCompleted { ticket: self.ticket.clone(), outcome }.clipped();
        Some(self.anew(ReviewState::Refused { reason, at }))
    }

    /// The review again, without its job.
    fn anew(&self, state: ReviewState) -> Self {
        let had = self.job().or(self.had.as_ref()).cloned();
        Self { state, had, ..self.clone() }.after(Some(self))
    }
}

/// Reviews without an answer: they waited for a job that failed, or one of `unfinished` was to answer them. The ticket's
/// next job is told of them.
pub fn unanswered<'a>(
    all: &'a [Review],
    project: &ProjectId,
    ticket: &TicketKey,
    unfinished: &BTreeSet<JobId>,
) -> Vec<&'a Review> {
    let is_left = |state: &ReviewState| match state {
        ReviewState::Refused { reason, .. } => matches!(reason, Reason::PreviousJobNotCompleted { .. }),
        ReviewState::Started { job } => unfinished.contains(job),
        // An absorbed review follows the one that absorbed it.
        ReviewState::Deferred {} | ReviewState::Absorbed { .. } => false,
    };
    let is_ours = |review: &Review| review.project == *project && review.ticket == *ticket;
    all.iter().filter(|review| is_left(&review.state) && is_ours(review)).collect()
}

/// Like `unanswered`, for requests of people, which no list of the forge has.
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

/// Requests beside the reviews that a job covers, in this order. A repeated request, or one that follows
/// a failed revision, takes the place of the last.
pub fn messages(covered: &[Review]) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for message in covered.iter().filter_map(|review| review.request.as_ref()?.message.as_ref()) {
        messages.retain(|before| before != message);
        messages.push(message.clone());
    }
    messages
}

/// The jobs to read to know whether they left their reviews, as [`leaves_reviews`] says: of revisions only
/// `last`. A revision is recognised by its id, which is derived from one of `all` the pull request's reviews. A job
/// whose review had another job since may be read in vain.
///
/// [`leaves_reviews`]: crate::job::leaves_reviews
pub fn may_leave_reviews(having: &BTreeSet<&JobId>, all: &[Review], last: Option<&JobId>) -> Vec<JobId> {
    let made_for = |review: &Review| [JobId::of_review(&review.pull_request, &review.id), review.next_job()];
    let revisions: BTreeSet<JobId> = all.iter().flat_map(made_for).collect();
    let may = |id: &&JobId| last == Some(*id) || !revisions.contains(*id);
    having.iter().copied().filter(may).cloned().collect()
}

/// Which unanswered reviews of the forge a job is told of, beside those that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// Earlier ones of the authors that it covers.
    Earlier,
    /// All of them, and requests of people.
    All,
}

impl Takes {
    /// Whether a review of this author and time belongs, for the job that covers these.
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

/// What the job that covers these reviews is told of as well: all, if a person asked for it, if other jobs have its
/// reviews since, or if it had nothing to do.
///
/// A request for changes on Bitbucket has no text of its own: it means its author's comments since their last request. If
/// that request was refused or withdrawn before a job read it, its comments come with the next one.
pub fn takes_unanswered(kind: ForgeKind, covered: &[Review]) -> Takes {
    if covered.is_empty() || covered.iter().any(|review| review.request.is_some()) {
        return Takes::All;
    }
    if kind.has_one_request_each() { Takes::Earlier } else { Takes::Nothing }
}

/// The jobs that had earlier requests of these authors. On a forge whose requests have no text, comments after a request
/// belong to it while it is the last, and to the next one as well. If the forge forgets withdrawn requests, they belong
/// to every later one. None if requests have text.
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

/// The reviews that one of these absorbed.
pub fn absorbed_by<'a>(these: &[Review], all: &'a [Review]) -> Vec<&'a Review> {
    let is_behind = |review: &Review| {
        let stands_for_it = &resolved(review, all).id;
        *stands_for_it != review.id && these.iter().any(|one| one.id == *stands_for_it)
    };
    all.iter().filter(|review| is_behind(review)).collect()
}

/// The state of an absorbed review, found among all reviews of its pull request: that of the last one in its
/// chain.
pub fn resolved<'a>(review: &'a Review, all: &'a [Review]) -> &'a Review {
    let mut at = review;
    // Each step leads to a newer review, so the chain is no longer than the list.
    for _ in 0..all.len() {
        let ReviewState::Absorbed { into } = &at.state else { break };
        match all.iter().find(|other| other.id == *into) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

/// The reviews that this job covers, oldest first: its own, and all that it
/// absorbed. The order is by the forge's time, then ours, then the id.
pub fn covered<'a>(job: &JobId, all: &'a [Review]) -> Vec<&'a Review> {
    let is_ours =
        |review: &&Review| matches!(&resolved(review, all).state, ReviewState::Started { job: by } if by == job);
    let mut covered: Vec<&Review> = all.iter().filter(is_ours).collect();
    covered.sort_by_key(|review| (review.submitted_at, review.at, review.id.clone()));
    covered
}

#[cfg(test)]
mod tests;
