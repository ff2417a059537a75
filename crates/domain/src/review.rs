//! A review that requests changes, as an event of a forge and as a stored item.
//! Its text is not stored, but read from the forge when the job is created. [`guard`] decides whether it may start a
//! job, [`settle`] decides about waiting reviews.

pub mod analysis;
pub mod delivery;
pub(crate) mod facts;
pub mod guard;
pub mod guard_steps;
pub mod listing;
pub mod outcome;
pub mod output;
pub mod published;
pub mod pull_request;
pub mod removal;
pub mod report;
pub mod settle;

use crate::job::{Job, check_retryable};
use crate::project::forge::ForgeKind;
use crate::project::{Settings, Source};
use crate::review::pull_request::{PullRequestState, pull_request_label};
use crate::text::decision::Reason;
use crate::text::id::{DeliveryId, EventId, JobId, ProjectId, RepositoryName, ReviewId, TicketKey};
use crate::text::pull_request_id::PullRequestId;
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

pub const MAX_MESSAGE_CHARS: usize = 4_000;

/// A request for changes to a pull request, in one form for all forges, from signed data or the forge's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewEvent {
    pub source: Source,
    /// The forge's name of the delivery. It is not signed: for display only.
    pub delivery: Option<EventId>,
    pub review: ReviewId,
    pub asks: RequestedAction,
    pub author: Author,
    pub submitted_at: Timestamp,
    pub marked: bool,
    pub pull_request: PullRequestSnapshot,
}

impl ReviewEvent {
    pub fn ledger_id(&self, project: &ProjectId) -> DeliveryId {
        DeliveryId::for_review(project, &self.pull_request.id, &self.review)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum RequestedAction {
    Changes {},
    /// A user requests a revision by command, comment or label. It overrides some of the guards.
    Revision {
        message: Option<String>,
    },
    /// A user requests a review by an agent.
    Review(ReviewRequest),
    /// A comment that is almost a command. It only gets an answer.
    Misspelled {},
}

impl RequestedAction {
    pub fn is_agent_review(&self) -> bool {
        matches!(self, Self::Review(_))
    }

    pub fn is_automatic_review(&self) -> bool {
        matches!(self, Self::Review(request) if request.automatic)
    }

    pub fn is_resolve(&self) -> bool {
        matches!(self, Self::Review(ReviewRequest { resolve: true, .. }))
    }
}

/// How an agent is to review a pull request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewRequest {
    /// Also fix what it finds; always of the whole change.
    #[serde(default)]
    pub resolve: bool,
    /// Also if the newest commit was reviewed.
    pub full: bool,
    /// Further instructions. With them, the newest commit is reviewed again.
    pub message: Option<String>,
    /// Otherwise the repository's agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// No user requests it; it starts by the project's setting. The event's author is that of the pull request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    /// The failed or cancelled job that it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<JobId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// May exceed 2^53.
    pub id: u64,
    pub login: String,
    pub bot: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestSnapshot {
    pub id: PullRequestId,
    pub repository: RepositoryName,
    pub state: PullRequestState,
    pub head: String,
    pub branch: String,
    pub url: String,
    pub updated_at: Timestamp,
    #[serde(default)]
    pub title: String,
    /// The branch that it targets.
    #[serde(default)]
    pub base: String,
    /// Whether its commits are in another repository.
    #[serde(default)]
    pub from_fork: bool,
    #[serde(default)]
    pub draft: bool,
    #[serde(default)]
    pub opened_at: Option<Timestamp>,
}

impl PullRequestSnapshot {
    pub fn label(&self) -> String {
        pull_request_label(Some(&self.repository), self.id.number)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// The account may push, or a Pullyard user requested the revision.
    Write,
    Less,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub pull_request: PullRequestId,
    pub id: ReviewId,
    pub project: ProjectId,
    pub ticket: TicketKey,
    pub author: Author,
    pub submitted_at: Timestamp,
    /// `None` for a review.
    pub request: Option<RevisionRequest>,
    pub at: Timestamp,
    pub state: ReviewState,
    /// Raised when it absorbs other reviews and when it waits again. A refusal is conditional on this version.
    pub version: u32,
    /// The last job of the review when it waited or was refused again. The next job's id derives from it.
    pub had: Option<JobId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRequest {
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ReviewState {
    Deferred {},
    /// The job of this newer review covers it.
    Absorbed {
        into: ReviewId,
    },
    Started {
        job: JobId,
    },
    /// It waited, and then could not start a job.
    Refused {
        reason: Reason,
        at: Timestamp,
    },
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
    pub fn from_event(
        event: &ReviewEvent,
        project: &ProjectId,
        ticket: &TicketKey,
        state: ReviewState,
        at: Timestamp,
    ) -> Self {
        Self {
            pull_request: event.pull_request.id.clone(),
            id: event.review.clone(),
            project: project.clone(),
            ticket: ticket.clone(),
            author: event.author.clone(),
            submitted_at: event.submitted_at,
            request: match &event.asks {
                RequestedAction::Revision { message } => Some(RevisionRequest { message: message.clone() }),
                _ => None,
            },
            at,
            state,
            version: 0,
            had: None,
        }
    }

    /// The review again after a refusal: with the next version and its last job.
    pub fn next_version(self, refused: Option<&Self>) -> Self {
        let Some(refused) = refused else { return self };
        Self { version: refused.version.saturating_add(1), had: self.had.or_else(|| refused.had.clone()), ..self }
    }

    pub fn started_job(&self) -> Option<&JobId> {
        match &self.state {
            ReviewState::Started { job } => Some(job),
            ReviewState::Deferred {} | ReviewState::Absorbed { .. } | ReviewState::Refused { .. } => None,
        }
    }

    /// The id of the review's next job, which is the same for every caller.
    pub fn next_job_id(&self) -> JobId {
        match &self.had {
            None => JobId::for_review(&self.pull_request, &self.id),
            Some(had) => JobId::for_review_after(&self.pull_request, &self.id, had),
        }
    }

    pub fn assign_to(&self, job: &JobId) -> Self {
        Self { state: ReviewState::Started { job: job.clone() }, ..self.clone() }.next_version(Some(self))
    }

    /// The review waiting again. `None` if the project has no waiting reviews.
    pub fn defer_again(&self, settings: &Settings) -> Option<Self> {
        settings.coalesce.then(|| self.requeue(ReviewState::Deferred {}))
    }

    /// The review as refused, as if it had waited for its job. `None` if it has another job, or that job completed. The
    /// next request then includes the review, even if other jobs completed since.
    pub fn refuse_after(&self, by: &Job, at: Timestamp) -> Option<Self> {
        if self.started_job() != Some(&by.id) || check_retryable(by).is_err() {
            return None;
        }
        let outcome = by.status.as_str().to_owned();
        let reason = Reason::PreviousJobNotCompleted { ticket: self.ticket.clone(), outcome }.clipped();
        Some(self.requeue(ReviewState::Refused { reason, at }))
    }

    fn requeue(&self, state: ReviewState) -> Self {
        let had = self.started_job().or(self.had.as_ref()).cloned();
        Self { state, had, ..self.clone() }.next_version(Some(self))
    }
}

/// Reviews without an answer, for the ticket's next job: their job failed, or is one of the `unfinished`.
pub fn unanswered_reviews<'a>(
    all: &'a [Review],
    project: &ProjectId,
    ticket: &TicketKey,
    unfinished: &BTreeSet<JobId>,
) -> Vec<&'a Review> {
    let is_unanswered = |state: &ReviewState| match state {
        ReviewState::Refused { reason, .. } => matches!(reason, Reason::PreviousJobNotCompleted { .. }),
        ReviewState::Started { job } => unfinished.contains(job),
        ReviewState::Deferred {} | ReviewState::Absorbed { .. } => false,
    };
    let is_ours = |review: &Review| review.project == *project && review.ticket == *ticket;
    all.iter().filter(|review| is_unanswered(&review.state) && is_ours(review)).collect()
}

/// Like `unanswered_reviews`, but only users' requests, which no list of the forge contains.
pub fn unanswered_requests<'a>(
    all: &'a [Review],
    project: &ProjectId,
    ticket: &TicketKey,
    unfinished: &BTreeSet<JobId>,
) -> Vec<&'a Review> {
    let mut unanswered = unanswered_reviews(all, project, ticket, unfinished);
    unanswered.retain(|review| review.request.is_some());
    unanswered
}

/// The messages of requests that a job covers, in order. A repeated message moves to its last position.
pub fn request_messages(covered: &[Review]) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for message in covered.iter().filter_map(|review| review.request.as_ref()?.message.as_ref()) {
        messages.retain(|before| before != message);
        messages.push(message.clone());
    }
    messages
}

/// Lists the jobs that may pass on their reviews; the caller reads them and checks `job::has_reviews_to_pass_on`.
/// Only the revision `last` may pass on reviews. The ids of revisions are derived from `all` reviews of the pull
/// request.
/// May return a job whose review has had another job since.
pub fn list_possible_review_owners(jobs: &BTreeSet<&JobId>, all: &[Review], last: Option<&JobId>) -> Vec<JobId> {
    let possible_jobs = |review: &Review| [JobId::for_review(&review.pull_request, &review.id), review.next_job_id()];
    let revisions: BTreeSet<JobId> = all.iter().flat_map(possible_jobs).collect();
    let is_possible = |id: &&JobId| last == Some(*id) || !revisions.contains(*id);
    jobs.iter().copied().filter(is_possible).cloned().collect()
}

/// Which unanswered reviews a job includes in addition to those that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnansweredScope {
    None,
    /// Earlier ones by the authors of covered reviews.
    Earlier,
    /// All, and users' requests.
    All,
}

impl UnansweredScope {
    /// Whether a review of this author and time belongs to a job that covers `covered`.
    pub fn includes(self, covered: &[Review], author: Option<u64>, submitted_at: Option<Timestamp>) -> bool {
        let came_before = |review: &Review| {
            review.request.is_none()
                && author == Some(review.author.id)
                && submitted_at.is_some_and(|submitted_at| submitted_at < review.submitted_at)
        };
        match self {
            Self::None => false,
            Self::Earlier => covered.iter().any(came_before),
            Self::All => true,
        }
    }
}

/// The unanswered reviews that a job includes: all if a user requested the job, or if it covers no review any more.
/// On Bitbucket, a request for changes has no text. It means the author's comments since their last request. If that
/// request was refused or withdrawn before a job read it, the next request includes its comments.
pub fn unanswered_scope(kind: ForgeKind, covered: &[Review]) -> UnansweredScope {
    if covered.is_empty() || covered.iter().any(|review| review.request.is_some()) {
        return UnansweredScope::All;
    }
    if kind.spec().one_request_per_user { UnansweredScope::Earlier } else { UnansweredScope::None }
}

/// The jobs of earlier requests by the authors of `covered`. Empty if this kind of forge has requests with text.
/// Without text, a comment belongs to the newest request before it and to the next one. If the forge forgets withdrawn
/// requests, the comment belongs to every later one.
pub fn jobs_of_earlier_requests<'a>(kind: ForgeKind, covered: &[Review], all: &'a [Review]) -> BTreeSet<&'a JobId> {
    if !kind.spec().one_request_per_user {
        return BTreeSet::new();
    }
    let is_covered = |earlier: &Review| covered.iter().any(|review| review.id == earlier.id);
    let is_before = |earlier: &&Review| {
        let comes_after = |review: &Review| {
            review.request.is_none()
                && earlier.project == review.project
                && earlier.author.id == review.author.id
                && earlier.submitted_at < review.submitted_at
        };
        earlier.request.is_none() && !is_covered(earlier) && covered.iter().any(comes_after)
    };
    all.iter().filter(is_before).filter_map(|earlier| resolve_absorbed(earlier, all).started_job()).collect()
}

pub fn absorbed_reviews<'a>(reviews: &[Review], all: &'a [Review]) -> Vec<&'a Review> {
    let is_behind = |review: &Review| {
        let chain_end = &resolve_absorbed(review, all).id;
        *chain_end != review.id && reviews.iter().any(|other| other.id == *chain_end)
    };
    all.iter().filter(|review| is_behind(review)).collect()
}

/// The review at the end of a chain of absorbed reviews. Its state applies to the whole chain.
pub fn resolve_absorbed<'a>(review: &'a Review, all: &'a [Review]) -> &'a Review {
    let mut at = review;
    // Each step leads to a newer review, so a chain is at most as long as the list.
    for _ in 0..all.len() {
        let ReviewState::Absorbed { into } = &at.state else { break };
        match all.iter().find(|other| other.id == *into) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

/// The reviews that this job covers, with the absorbed ones, oldest first: by the forge's time, our time and id.
pub fn covered_reviews<'a>(job: &JobId, all: &'a [Review]) -> Vec<&'a Review> {
    let is_ours = |review: &&Review| matches!(&resolve_absorbed(review, all).state, ReviewState::Started { job: by } if by == job);
    let mut covered: Vec<&Review> = all.iter().filter(is_ours).collect();
    covered.sort_by_key(|review| (review.submitted_at, review.at, review.id.clone()));
    covered
}

#[cfg(test)]
mod tests;
