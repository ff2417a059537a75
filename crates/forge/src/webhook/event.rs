//! What a delivery says, as far as we use it.

use crate::{Actor, Comment, PullRequest, Review};

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The hook was made, or somebody asked it to say something.
    Ping {
        /// The hook; GitHub's schema lets it be absent.
        hook: Option<u64>,
    },
    /// A review was submitted, edited or dismissed.
    Review(Box<ReviewEvent>),
    /// Something about a pull request changed.
    PullRequest(Box<PullRequestEvent>),
    /// Somebody wrote below an issue or a pull request.
    Comment(Box<CommentEvent>),
    /// A repository was renamed, transferred or deleted.
    Repository(RepositoryEvent),
    /// An App was installed, removed or given other repositories.
    Installation(InstallationEvent),
    /// Nothing that we act on.
    Ignored {
        /// As the header names it.
        event: String,
        /// As the body names it, if it does.
        action: Option<String>,
    },
}

/// A repository as deliveries name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryName {
    /// The forge's id, which survives renames; may be larger than 2^53.
    pub id: u64,
    /// `owner/name` as it was when the delivery was made.
    pub full_name: String,
}

/// A review was submitted, edited or dismissed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewEvent {
    /// What happened to it.
    pub action: ReviewAction,
    /// The review; its comments on lines are not told.
    pub review: Review,
    /// The pull request as it was then.
    pub pull_request: PullRequest,
    /// Where.
    pub repository: RepositoryName,
    /// Who did it: for a dismissal not the review's author.
    pub sender: Actor,
    /// The App's installation the delivery is for, if it is for one.
    pub installation: Option<u64>,
}

/// What happened to a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewAction {
    /// It became visible.
    Submitted,
    /// Its summary was changed; its verdict stays.
    Edited,
    /// Its verdict lost its force.
    Dismissed,
}

/// Something about a pull request changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestEvent {
    /// What changed.
    pub action: PullRequestAction,
    /// The pull request after it.
    pub pull_request: PullRequest,
    /// Where.
    pub repository: RepositoryName,
    /// Who did it; GitHub's description lets it be absent.
    pub sender: Option<Actor>,
    /// The App's installation the delivery is for, if it is for one.
    pub installation: Option<u64>,
}

/// What changed about a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullRequestAction {
    /// It is new.
    Opened,
    /// It was closed.
    Closed {
        /// By a merge.
        merged: bool,
    },
    /// It is open again.
    Reopened,
    /// Its branch moved.
    Synchronize {
        /// The commit it pointed to; Bitbucket does not tell it.
        before: Option<String>,
        /// The commit it points to; Bitbucket tells its first twelve characters.
        after: String,
    },
    /// Its title, text or base was changed.
    Edited,
    /// It was given a label, by the sender.
    Labeled {
        /// The label's name.
        label: String,
    },
    /// Anything else that happens to pull requests, in the forge's word.
    Other(String),
}

/// Somebody wrote below an issue or a pull request, or changed or deleted what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentEvent {
    /// What happened to it.
    pub action: CommentAction,
    /// The comment.
    pub comment: Comment,
    /// The number of the issue or pull request.
    pub number: u64,
    /// Whether it is a pull request.
    pub is_pull_request: bool,
    /// Where.
    pub repository: RepositoryName,
    /// Who did it: not always the comment's author.
    pub sender: Actor,
    /// The App's installation the delivery is for, if it is for one.
    pub installation: Option<u64>,
}

/// What happened to a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommentAction {
    /// It was written.
    Created,
    /// Its text was changed.
    Edited,
    /// It is gone.
    Deleted,
}

/// A repository was renamed, transferred or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryEvent {
    /// What happened to it.
    pub change: RepositoryChange,
    /// The repository with its name after it.
    pub repository: RepositoryName,
    /// Who did it.
    pub sender: Actor,
    /// The App's installation the delivery is for, if it is for one.
    pub installation: Option<u64>,
}

/// What happened to a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryChange {
    /// It has another name.
    Renamed {
        /// The name it had, without its owner.
        from: String,
    },
    /// It has another owner.
    Transferred,
    /// It is gone.
    Deleted,
    /// It is gone, if the event's name is true: nothing in the body that was signed says so. The forge has to be asked.
    PerhapsDeleted,
}

/// An App was installed, removed or given other repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallationEvent {
    /// What happened to it.
    pub change: InstallationChange,
    /// The installation.
    pub installation: u64,
    /// The App.
    pub app: u64,
    /// Where it is installed; `None` for an enterprise.
    pub account: Option<Actor>,
    /// Who did it.
    pub sender: Actor,
}

/// What happened to an App's installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallationChange {
    /// It is new, and may touch these repositories.
    Created {
        /// As far as the delivery lists them.
        repositories: Vec<RepositoryName>,
    },
    /// It is gone.
    Deleted,
    /// It may do nothing for now.
    Suspended,
    /// It may do again what it might.
    Unsuspended,
    /// Its permissions are what the App asks for now.
    PermissionsAccepted,
    /// It may touch more or fewer repositories.
    Repositories {
        /// New ones.
        added: Vec<RepositoryName>,
        /// Those it may not touch any more.
        removed: Vec<RepositoryName>,
    },
}
