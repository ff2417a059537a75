//! Repositories and pull requests of a forge.

use serde::Deserialize;

use crate::Time;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// The forge's id; survives renames and may exceed 2^53.
    pub id: u64,
    /// Current `owner/name`; differs from the requested name after a rename.
    pub full_name: String,
    pub default_branch: String,
    pub clone_url: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    pub url: String,
    /// Newest commit known to the forge; only twelve characters in Bitbucket's lists.
    pub head_sha: String,
    pub head_branch: String,
    /// Repository of the head branch, which may be a fork; `None` if deleted.
    pub head_repository: Option<u64>,
    pub base_branch: String,
    /// Repository of the base branch, which the forge may omit.
    pub base_repository: Option<BaseRepository>,
    pub state: PullRequestState,
    pub draft: bool,
    pub title: String,
    pub updated_at: Time,
}

impl PullRequest {
    pub(crate) fn prefer_base(pulls: Vec<Self>, base: &str) -> Option<Self> {
        let at = pulls.iter().position(|pull| pull.base_branch == base);
        pulls.into_iter().nth(at.unwrap_or(0))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BaseRepository {
    pub id: u64,
    /// Current `owner/name`, if the forge returns it; differs from the requested name after a rename.
    pub full_name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRequestState {
    Open,
    Closed,
    Merged,
}

/// A pull request to create; both branches are in the same repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPullRequest {
    /// GitHub's limit is 256 characters.
    pub title: String,
    pub body: String,
    pub head: String,
    pub base: String,
    /// Some GitHub repositories do not support drafts.
    pub draft: bool,
}
