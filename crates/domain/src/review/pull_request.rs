//! Pull requests and their links to tickets.

mod agent_reviews;

pub use crate::text::pull_request_id::PullRequestId;
pub use crate::text::pull_request_link::{PullRequestLink, PullRequestState};
pub use agent_reviews::{AgentReviews, AutomaticReviews, CommitNews, EndedReview, ReviewedCommit};

use crate::text::Span;
use crate::text::code::coded_enum;
use crate::text::decision::Reason;
use crate::text::id::{JobId, ProjectId, RepositoryName, TicketKey};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Least time between the creation of two revisions of a pull request. Exactly this time is allowed.
pub const REVISE_WINDOW: Duration = Duration::from_secs(3_600);

coded_enum! {
    /// How a merge adds the commits of a pull request to its base.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum MergeMethod {
        /// With a merge commit.
        Merge = "merge";
        /// As one commit.
        Squash = "squash";
        /// One by one, without a merge commit.
        Rebase = "rebase";
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    pub id: PullRequestId,
    pub project: ProjectId,
    /// `None` for a job without a ticket, and if only a review stored it.
    pub ticket: Option<TicketKey>,
    /// The job that last pushed to it; `None` if a user linked it.
    pub job: Option<JobId>,
    pub url: String,
    pub branch: String,
    pub head: String,
    /// The repository's name when that job ended. Names change, the id does not.
    pub repository_name: Option<RepositoryName>,
    pub state: PullRequestState,
    /// The forge's time of its last change. Older reports are ignored.
    pub updated_at: Option<Timestamp>,
    pub revised: Option<LastRevision>,
    #[serde(default, skip_serializing_if = "AgentReviews::is_empty")]
    pub reviews: AgentReviews,
    pub note: Option<Note>,
    /// Raised with every change of `note`.
    pub note_version: u32,
    /// The version of `note` that the forge shows.
    pub noted_version: u32,
    /// The id of our comment, if a status could not be set.
    pub comment: Option<u64>,
    pub tries: u32,
    pub not_before: Option<Timestamp>,
    pub rev: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRevision {
    pub at: Timestamp,
    pub job: JobId,
    /// The previous revision. Its window applies if this one ends before an agent works.
    pub earlier: Option<Box<LastRevision>>,
}

impl LastRevision {
    pub fn start(job: &JobId, at: Timestamp, before: Option<Self>) -> Self {
        // The previous revision had an agent, so its own `earlier` no longer matters.
        let earlier = before.map(|before| Box::new(Self { earlier: None, ..before }));
        Self { at, job: job.clone(), earlier }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "about")]
pub enum Note {
    /// The decision about the newest review.
    Decision {
        reason: Reason,
    },
    /// The refusal of the newest request for a review by an agent.
    ReviewRefusal {
        reason: Reason,
    },
    Job {
        job: JobId,
        stage: Stage,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Begun,
    Ended,
}

impl Note {
    pub fn job_created(job: JobId) -> Self {
        Self::Job { job, stage: Stage::Begun }
    }

    pub fn job_ended(job: JobId) -> Self {
        Self::Job { job, stage: Stage::Ended }
    }
}

impl PullRequest {
    pub fn new(id: PullRequestId, project: ProjectId, ticket: Option<TicketKey>, job: Option<JobId>) -> Self {
        Self {
            id,
            project,
            ticket,
            job,
            url: String::new(),
            branch: String::new(),
            head: String::new(),
            repository_name: None,
            state: PullRequestState::Open,
            updated_at: None,
            revised: None,
            reviews: AgentReviews::default(),
            note: None,
            note_version: 0,
            noted_version: 0,
            comment: None,
            tries: 0,
            not_before: None,
            rev: 0,
        }
    }

    /// When its wanted review may start. `None` while another one runs, and if it is closed.
    pub fn review_wanted_at(&self) -> Option<Timestamp> {
        let is_free = self.state == PullRequestState::Open && self.reviews.active_job.is_none();
        self.reviews.automatic.wanted.filter(|_| is_free)
    }

    /// The sentence about its wanted review.
    pub fn explain_wanted_review(&self, now: Timestamp) -> Option<String> {
        let at = self.review_wanted_at()?.max(self.not_before.unwrap_or(now));
        let delay = Some(at.since(now)).filter(|delay| !delay.is_zero());
        let when = delay.map_or_else(|| "within a minute".to_owned(), |delay| format!("in {}", Span::from(delay)));
        Some(match &self.note {
            Some(Note::ReviewRefusal { reason }) if reason.is_project_block() => {
                format!("{} The review of {} is tried again {when}.", reason.sentence(), self.label())
            }
            _ => format!("An agent reviews {} {when}.", self.label()),
        })
    }

    /// Whether it was stored only because of reviews by agents: it belongs to no work of the project.
    pub fn is_only_reviewed(&self) -> bool {
        self.ticket.is_none() && self.job.is_none()
    }

    /// Whether it belongs to no work, and no review of it has started.
    pub fn is_never_reviewed(&self) -> bool {
        self.is_only_reviewed() && self.reviews.count == 0 && self.reviews.active_job.is_none()
    }

    /// Shows the state of a review by an agent, unless the state of a revision, which matters more, was not shown yet.
    pub fn set_review_note(&mut self, note: Note) {
        let is_of_revision = matches!(&self.note, Some(Note::Job { job, .. }) if !self.reviews.names(job));
        if !(is_of_revision && self.is_note_outdated()) {
            self.set_note(note);
        }
    }

    pub fn set_note(&mut self, note: Note) {
        if self.note.as_ref() != Some(&note) || matches!(note, Note::Job { .. }) {
            self.note = Some(note);
            self.note_version += 1;
            self.tries = 0;
            self.not_before = None;
        }
    }

    pub fn is_note_outdated(&self) -> bool {
        self.noted_version < self.note_version
    }

    /// The link after a report from the forge. `None` if nothing changes or the report is outdated.
    pub fn merge_forge_state(&self, state: PullRequestState, head: &str, updated_at: Timestamp) -> Option<Self> {
        if self.updated_at.is_some_and(|stored| updated_at < stored) || self.state == PullRequestState::Merged {
            return None;
        }
        // Bitbucket sends only a prefix of the commit id, and an empty one once the branch is gone.
        let head = if self.head.starts_with(head) { self.head.as_str() } else { head };
        let next = Self { state, head: head.to_owned(), updated_at: Some(updated_at), ..self.clone() };
        (next != *self).then_some(next)
    }

    /// `acme/app#231`, or `#231` if the repository's name is unknown.
    pub fn label(&self) -> String {
        pull_request_label(self.repository_name.as_ref(), self.id.number)
    }
}

pub fn pull_request_label(repository: Option<&RepositoryName>, number: u64) -> String {
    repository.map_or_else(|| format!("#{number}"), |name| format!("{name}#{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{job_id, linked_pull_request, time_at};
    use crate::text::id::IntegrationId;

    #[test]
    fn label_has_the_repository_if_its_name_is_known() {
        let linked = PullRequest { repository_name: None, ..linked_pull_request() };
        let number = linked.id.number;
        assert_eq!(linked.label(), format!("#{number}"));
        let named = PullRequest { repository_name: Some(RepositoryName::new("acme/app").unwrap()), ..linked };
        assert_eq!(named.label(), format!("acme/app#{number}"));
    }

    #[test]
    fn forge_states_merge_in_the_forges_time_order() {
        use PullRequestState::{Closed, Merged, Open};
        let merge = |of: &PullRequest, state, secs| of.merge_forge_state(state, "abc", time_at(secs));
        let closed = merge(&linked_pull_request(), Closed, 10).unwrap();
        assert_eq!((closed.state, closed.head.as_str(), closed.updated_at), (Closed, "abc", Some(time_at(10))));
        assert_eq!(merge(&closed, Open, 9), None, "an older event changes nothing");
        assert_eq!(merge(&closed, Closed, 10), None, "a known state changes nothing");
        assert_eq!(merge(&closed, Open, 10).unwrap().state, Open, "within a second the last received counts");
        let merged = merge(&closed, Merged, 11).unwrap();
        for state in [Open, Closed, Merged] {
            assert_eq!(merge(&merged, state, 12), None, "a merge is final");
        }
    }

    #[test]
    fn prefix_of_the_known_head_is_the_same_head() {
        let known = PullRequest { head: "139a5c2ee2f0".into(), updated_at: Some(time_at(1)), ..linked_pull_request() };
        let merge = |head: &str| known.merge_forge_state(known.state, head, time_at(1));
        for same in ["139a5c2ee2f0", "139a5c2", ""] {
            assert_eq!(merge(same), None, "{same}");
        }
        for other in ["903f", "139a5c2ee2f0aa"] {
            assert_eq!(merge(other).unwrap().head, other);
        }
    }

    #[test]
    fn forge_event_leaves_our_own_fields_unchanged() {
        let mut ours = linked_pull_request();
        ours.revised = Some(LastRevision::start(&job_id("j"), time_at(1), None));
        ours.set_note(Note::job_created(job_id("j")));
        let closed = ours.merge_forge_state(PullRequestState::Closed, "abc", time_at(10)).unwrap();
        let back = PullRequest { state: ours.state, head: ours.head.clone(), updated_at: None, ..closed };
        assert_eq!(back, ours);
    }

    #[test]
    fn only_one_earlier_revision_is_stored() {
        let begun = |job: &str, secs, before| Some(LastRevision::start(&job_id(job), time_at(secs), before));
        let last = begun("j3", 3, begun("j2", 2, begun("j1", 1, None))).unwrap();
        let earlier = last.earlier.unwrap();
        assert_eq!((earlier.job, earlier.earlier), (job_id("j2"), None));
    }

    #[test]
    fn note_repeats_for_a_job_but_not_for_a_decision() {
        let mut pull_request = linked_pull_request();
        let decision = || Note::Decision { reason: Reason::EditedReview {} };
        pull_request.set_note(decision());
        pull_request.set_note(decision());
        assert_eq!((pull_request.note_version, pull_request.is_note_outdated()), (1, true));
        (pull_request.noted_version, pull_request.tries, pull_request.not_before) = (1, 3, Some(time_at(9)));
        assert!(!pull_request.is_note_outdated());
        for version in [2, 3] {
            pull_request.set_note(Note::job_created(job_id("j")));
            assert_eq!((pull_request.note_version, pull_request.tries, pull_request.not_before), (version, 0, None));
        }
    }

    #[test]
    fn pull_request_id_parses_from_its_display_form() {
        let id = PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 1 << 60, number: 7 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "gh1/1", "gh1/1/2/3", "gh1/x/2", "GH/1/2"] {
            assert!(bad.parse::<PullRequestId>().is_err(), "{bad}");
        }
    }
}
