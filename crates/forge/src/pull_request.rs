//! Repositories and pull requests of a forge.

use serde::{Deserialize, Serialize};

use crate::{Actor, Error, Time};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// The forge's id; survives renames and may exceed 2^53.
    pub id: u64,
    /// Current `owner/name`; differs from the requested name after a rename.
    pub full_name: String,
    pub default_branch: String,
    pub clone_url: String,
    /// Nothing can be pushed or opened. Bitbucket has no archived repositories.
    #[serde(default)]
    pub archived: bool,
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
    /// Absent for a deleted account.
    pub author: Option<Actor>,
    pub title: String,
    pub created_at: Option<Time>,
    pub updated_at: Time,
}

impl PullRequest {
    /// Whether this commit is the newest one known to the forge.
    pub fn is_at(&self, head: &str) -> bool {
        !self.head_sha.is_empty() && head.starts_with(&self.head_sha)
    }

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NewState {
    Open,
    Closed,
}

/// The parts of a pull request that only a page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestDetails {
    pub text: String,
    pub author: Option<Actor>,
    pub created_at: Time,
    pub commits: u64,
    pub merged_by: Option<Actor>,
    /// GitHub also names a test merge here while the pull request is open.
    pub merge_commit: Option<String>,
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

/// Parts of the refusals, in lower case, with which GitHub and Bitbucket answer for a branch that they do not see. For
/// some seconds they may not see one that was just pushed.
const HEAD_NOT_VISIBLE: [&str; 6] = [
    "head is invalid",
    "head sha can't be blank",
    "head_sha is missing",
    "head ref must be a branch",
    "not all refs are readable",
    "source: branch not found",
];

/// Separates a branch that may become visible from final refusals of a new pull request.
pub(crate) fn not_visible_yet(error: Error) -> Error {
    match error {
        Error::Refused { reason } if HEAD_NOT_VISIBLE.iter().any(|text| reason.to_lowercase().contains(text)) => {
            Error::NotVisibleYet { reason }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_of_an_unseen_head_may_pass() {
        let check = |reason: &str| {
            let error = not_visible_yet(Error::Refused { reason: reason.to_owned() });
            matches!(error, Error::NotVisibleYet { .. })
        };
        for reason in [
            "head is invalid",
            "head sha can't be blank",
            "head sha can't be blank; base sha can't be blank; no commits between main and job; head ref must be a branch",
            "head_sha is missing; base_sha is missing",
            "source: branch not found: job",
            "bad request; source: branch not found",
        ] {
            assert!(check(reason), "{reason}");
        }
        for reason in [
            "no commits between main and head",
            "base is invalid",
            "base sha can't be blank",
            "destination: branch not found: main",
            "there are no changes to be pulled",
            "a pull request already exists for acme:job",
        ] {
            assert!(!check(reason), "{reason}");
        }
    }
}
