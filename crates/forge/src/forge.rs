//! The calls that all forges support, dispatched to the forge's client.

mod hooks;
mod reviews;

use crate::{Account, Bitbucket, Error, GitHub, NewPullRequest, PullRequest, Repository};

#[derive(Clone, Debug)]
pub enum Forge {
    GitHub(GitHub),
    Bitbucket(Bitbucket),
}

fn unsupported_error<T>(what: &str) -> Result<T, Error> {
    Err(Error::Unsupported { what: what.to_owned() })
}

impl Forge {
    /// Errors: `Denied` for a wrong token.
    pub async fn account(&self) -> Result<Account, Error> {
        match self {
            Self::GitHub(github) => github.account().await,
            Self::Bitbucket(bitbucket) => bitbucket.account().await,
        }
    }

    /// Also finds a renamed repository; use the returned `full_name` from then on.
    /// Errors: `NotFound` for a missing repository, or one hidden from the token.
    pub async fn repository(&self, full_name: &str) -> Result<Repository, Error> {
        match self {
            Self::GitHub(github) => github.repository(full_name).await,
            Self::Bitbucket(bitbucket) => bitbucket.repository(full_name).await,
        }
    }

    pub async fn open_pull_request(&self, full_name: &str, head_branch: &str) -> Result<Option<PullRequest>, Error> {
        match self {
            Self::GitHub(github) => github.open_pull_request(full_name, head_branch).await,
            Self::Bitbucket(bitbucket) => bitbucket.open_pull_request(full_name, head_branch).await,
        }
    }

    pub async fn merged_pull_request(&self, full_name: &str, head_branch: &str) -> Result<Option<PullRequest>, Error> {
        match self {
            Self::GitHub(github) => github.merged_pull_request(full_name, head_branch).await,
            Self::Bitbucket(bitbucket) => bitbucket.merged_pull_request(full_name, head_branch).await,
        }
    }

    /// Not idempotent: after a transient error it may exist; Bitbucket overwrites title and text if the base is equal.
    /// Errors: `Refused`, for example for a branch without new commits.
    pub async fn create_pull_request(&self, full_name: &str, new: &NewPullRequest) -> Result<PullRequest, Error> {
        match self {
            Self::GitHub(github) => github.create_pull_request(full_name, new).await,
            Self::Bitbucket(bitbucket) => bitbucket.create_pull_request(full_name, new).await,
        }
    }

    /// Idempotent: by repository and head branch, even if a user has changed the base. Errors: `Refused` by the forge.
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
