//! The forges we speak to, as one closed set. What each call means on a forge is in its own module.

mod hooks;
mod reviews;

use crate::{Account, Bitbucket, Branch, Error, GitHub, NewPullRequest, PullRequest, Repository};

/// A forge and the token we have for it; cheap to clone.
#[derive(Clone, Debug)]
pub enum Forge {
    /// github.com or a GitHub Enterprise Server.
    GitHub(GitHub),
    /// Bitbucket Cloud.
    Bitbucket(Bitbucket),
}

/// What Bitbucket is not asked.
fn unsupported<T>(what: &str) -> Result<T, Error> {
    Err(Error::Unsupported { what: what.to_owned() })
}

impl Forge {
    /// The account behind the token.
    ///
    /// Errors: `Denied` when the token is wrong.
    pub async fn account(&self) -> Result<Account, Error> {
        match self {
            Self::GitHub(github) => github.account().await,
            Self::Bitbucket(bitbucket) => bitbucket.account().await,
        }
    }

    /// The repository, also when it was renamed: use the `full_name` of the answer from then on.
    ///
    /// Errors: `NotFound` when it isn't there or the token may not see it.
    pub async fn repository(&self, full_name: &str) -> Result<Repository, Error> {
        match self {
            Self::GitHub(github) => github.repository(full_name).await,
            Self::Bitbucket(bitbucket) => bitbucket.repository(full_name).await,
        }
    }

    /// The branch of exactly this name, if the repository has it.
    pub async fn branch(&self, full_name: &str, name: &str) -> Result<Option<Branch>, Error> {
        match self {
            Self::GitHub(github) => github.branch(full_name, name).await,
            Self::Bitbucket(bitbucket) => bitbucket.branch(full_name, name).await,
        }
    }

    /// The open pull request of a branch, if it has one; the newest, if it has several.
    pub async fn open_pull_request(&self, full_name: &str, head_branch: &str) -> Result<Option<PullRequest>, Error> {
        match self {
            Self::GitHub(github) => github.open_pull_request(full_name, head_branch).await,
            Self::Bitbucket(bitbucket) => bitbucket.open_pull_request(full_name, head_branch).await,
        }
    }

    /// The merged pull request of a branch, if it has one; the newest, if it has several. The branch itself may be gone.
    pub async fn merged_pull_request(&self, full_name: &str, head_branch: &str) -> Result<Option<PullRequest>, Error> {
        match self {
            Self::GitHub(github) => github.merged_pull_request(full_name, head_branch).await,
            Self::Bitbucket(bitbucket) => bitbucket.merged_pull_request(full_name, head_branch).await,
        }
    }

    /// Opens a pull request, once: after a transient error it may exist or not. Bitbucket opens no second one of a
    /// branch and its base, but writes title and text over those of the first.
    ///
    /// Errors: `Refused` when the forge won't, such as for a branch without new commits.
    pub async fn create_pull_request(&self, full_name: &str, new: &NewPullRequest) -> Result<PullRequest, Error> {
        match self {
            Self::GitHub(github) => github.create_pull_request(full_name, new).await,
            Self::Bitbucket(bitbucket) => bitbucket.create_pull_request(full_name, new).await,
        }
    }

    /// The open pull request of the branch, opened if there is none.
    ///
    /// Idempotent: by repository and head branch. A pull request that a person pointed at another
    /// base is still the one of this branch.
    /// Errors: `Refused` when the forge won't open one.
    pub async fn find_or_create_pull_request(
        &self,
        full_name: &str,
        new: &NewPullRequest,
    ) -> Result<PullRequest, Error> {
        match self {
            Self::GitHub(github) => github.find_or_create_pull_request(full_name, new).await,
            Self::Bitbucket(bitbucket) => bitbucket.find_or_create_pull_request(full_name, new).await,
        }
    }
}
