//! Events of a delivery, with the fields that we use.

use crate::{Actor, Comment, PullRequest, Review};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Sent when the webhook is created or tested.
    Ping {
        /// GitHub's schema allows it to be absent.
        hook: Option<u64>,
    },
    Review(Box<ReviewEvent>),
    PullRequest(Box<PullRequestEvent>),
    Comment(Box<CommentEvent>),
    Repository(RepositoryEvent),
    Installation(InstallationEvent),
    Ignored {
        event: String,
        action: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryName {
    /// The forge's id, which survives renames; may be larger than 2^53.
    pub id: u64,
    /// `owner/name` at the time of the delivery.
    pub full_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewEvent {
    pub action: ReviewAction,
    /// Without its comments on lines.
    pub review: Review,
    /// At the time of the delivery.
    pub pull_request: PullRequest,
    pub repository: RepositoryName,
    /// For a dismissal not the review's author.
    pub sender: Actor,
    pub installation: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewAction {
    Submitted,
    /// The verdict is unchanged.
    Edited,
    Dismissed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestEvent {
    pub action: PullRequestAction,
    /// After the change.
    pub pull_request: PullRequest,
    pub repository: RepositoryName,
    /// GitHub's schema allows it to be absent.
    pub sender: Option<Actor>,
    pub installation: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullRequestAction {
    Opened,
    Closed {
        merged: bool,
    },
    Reopened,
    /// The head branch moved.
    Synchronize {
        /// Bitbucket does not send it.
        before: Option<String>,
        /// Bitbucket sends twelve characters.
        after: String,
    },
    /// Title, text or base.
    Edited,
    /// The sender added a label.
    Labeled {
        label: String,
    },
    /// Any other action, by the forge's name.
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentEvent {
    pub action: CommentAction,
    pub comment: Comment,
    /// Of the issue or pull request.
    pub number: u64,
    pub is_pull_request: bool,
    pub repository: RepositoryName,
    /// Not always the comment's author.
    pub sender: Actor,
    pub installation: Option<u64>,
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
    /// With its new name.
    pub repository: RepositoryName,
    pub sender: Actor,
    pub installation: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryChange {
    Renamed {
        /// Old name, without its owner.
        from: String,
    },
    Transferred,
    Deleted,
    /// The signed body does not confirm the event's name, so the forge must be called.
    PerhapsDeleted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallationEvent {
    pub change: InstallationChange,
    pub installation: u64,
    pub app: u64,
    /// `None` for an enterprise.
    pub account: Option<Actor>,
    pub sender: Actor,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallationChange {
    Created {
        /// As far as the delivery lists them.
        repositories: Vec<RepositoryName>,
    },
    Deleted,
    Suspended,
    Unsuspended,
    /// The owner accepted the App's current permissions.
    PermissionsAccepted,
    Repositories {
        added: Vec<RepositoryName>,
        removed: Vec<RepositoryName>,
    },
}
