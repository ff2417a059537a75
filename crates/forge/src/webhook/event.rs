//! Events of a delivery, reduced to the fields that we use.

use serde::Deserialize;

use crate::{Actor, Comment, PullRequest, Review};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// GitHub sends it when a webhook is created or tested.
    Ping,
    Review(Box<ReviewEvent>),
    PullRequest(Box<PullRequestEvent>),
    Comment(Box<CommentEvent>),
    Repository(RepositoryEvent),
    /// An issue changed; its content is read from the forge.
    Issue {
        repository: EventRepository,
        number: u64,
    },
    Ignored {
        event: String,
        action: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EventRepository {
    pub id: u64,
    /// `owner/name` at the time of the delivery.
    pub full_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewEvent {
    pub action: ReviewAction,
    pub review: Review,
    pub pull_request: PullRequest,
    pub repository: EventRepository,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewAction {
    Submitted,
    Edited,
    Dismissed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestEvent {
    pub action: PullRequestAction,
    pub pull_request: PullRequest,
    pub repository: EventRepository,
    /// GitHub's schema allows it to be absent.
    pub sender: Option<Actor>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullRequestAction {
    Opened,
    ReadyForReview,
    Closed { merged: bool },
    Reopened,
    Synchronize,
    Labeled { label: String },
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentEvent {
    pub action: CommentAction,
    pub comment: Comment,
    pub number: u64,
    pub is_pull_request: bool,
    pub repository: EventRepository,
    /// May differ from the comment's author.
    pub sender: Actor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommentAction {
    Created,
    Edited,
    Deleted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryEvent {
    pub change: RepositoryChange,
    pub repository: EventRepository,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryChange {
    Renamed,
    Transferred,
    Deleted,
    /// The signed body does not confirm the event, so the forge must be queried.
    MaybeDeleted,
}
