//! Pull requests: the one we want, and the one the forge has.

use crate::{Actor, Time};

/// A pull request on a forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// Counts within its repository.
    pub number: u64,
    /// The page for people.
    pub url: String,
    /// The newest commit, as far as the forge knows; of Bitbucket's lists its first twelve characters.
    pub head_sha: String,
    /// The branch with the change.
    pub head_branch: String,
    /// The repository of that branch, another one for a fork; `None` when it was deleted.
    pub head_repository: Option<u64>,
    /// The branch it goes to; people may change it.
    pub base_branch: String,
    /// The repository of that branch, which is where it was asked for, under whatever name; `None` in what a webhook
    /// says, which names its repository itself.
    pub base_repository: Option<BaseRepository>,
    /// Open, closed or merged.
    pub state: PullRequestState,
    /// Whether it is not to be reviewed yet.
    pub draft: bool,
    /// The first line people read.
    pub title: String,
    /// Who opened it; `None` for an account that was deleted.
    pub author: Option<Actor>,
    /// When anything about it last changed.
    pub updated_at: Time,
}

impl PullRequest {
    /// Of those of one branch the first to this base, else the first.
    pub(crate) fn preferred(found: Vec<Self>, base: Option<&str>) -> Option<Self> {
        let at = found.iter().position(|pull| Some(pull.base_branch.as_str()) == base);
        found.into_iter().nth(at.unwrap_or(0))
    }
}

/// The repository that a pull request is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseRepository {
    /// The forge's id, which survives renames; may be larger than 2^53.
    pub id: u64,
    /// `owner/name` as it is now, if the forge says so: after a rename it differs from what was asked for.
    pub full_name: Option<String>,
}

/// What became of a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRequestState {
    /// It awaits review or merge.
    Open,
    /// It was closed without being merged.
    Closed,
    /// Its change is in the base branch.
    Merged,
}

/// A pull request to be opened. Both branches are in the repository itself: there are no forks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPullRequest {
    /// The first line people read; GitHub takes 256 characters.
    pub title: String,
    /// The text below it, Markdown; GitHub takes 65,536 characters.
    pub body: String,
    /// The branch with the change, already pushed.
    pub head: String,
    /// The branch it goes to.
    pub base: String,
    /// It can't be merged before a person says that it is ready. Not every repository of GitHub's has drafts.
    pub draft: bool,
}
