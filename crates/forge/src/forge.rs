//! The calls that all forges support, dispatched to the forge's client.

use crate::{
    Account, Bitbucket, Error, GitHub, NewPullRequest, PullRequest, Repository, github, http_client::RetryPolicy, retry,
};

/// Calls the same method of the forge's client.
macro_rules! dispatch {
    ($forge:expr, $call:ident($($argument:expr),*)) => {
        match $forge {
            crate::Forge::GitHub(client) => client.$call($($argument),*).await,
            crate::Forge::Bitbucket(client) => client.$call($($argument),*).await,
        }
    };
}

mod hooks;
mod reviews;

#[derive(Clone, Debug)]
pub enum Forge {
    GitHub(GitHub),
    Bitbucket(Bitbucket),
}

fn unsupported_error<T>(operation: &str) -> Result<T, Error> {
    Err(Error::Unsupported { operation: operation.to_owned() })
}

impl Forge {
    /// Errors: `Denied` for a wrong token.
    pub async fn account(&self) -> Result<Account, Error> {
        dispatch!(self, account())
    }

    /// Also finds a renamed repository; use the returned `full_name` from then on.
    /// Errors: `NotFound` for a missing repository, or one hidden from the token.
    pub async fn repository(&self, full_name: &str) -> Result<Repository, Error> {
        dispatch!(self, repository(full_name))
    }

    pub async fn open_pull_request(&self, full_name: &str, head_branch: &str) -> Result<Option<PullRequest>, Error> {
        let pulls = dispatch!(self, open_pull_requests(full_name, head_branch, RetryPolicy::Retry))?;
        Ok(pulls.into_iter().next())
    }

    /// Not idempotent: after a transient error it may exist; Bitbucket overwrites title and text if the base is equal.
    /// Errors: `Refused`, for example for a branch without new commits.
    pub async fn create_pull_request(&self, full_name: &str, new: &NewPullRequest) -> Result<PullRequest, Error> {
        dispatch!(self, create_pull_request(full_name, new))
    }

    /// Idempotent: by repository and head branch, even if a user has changed the base. Errors: `Refused` by the forge.
    pub async fn find_or_create_pull_request(
        &self,
        full_name: &str,
        new: &NewPullRequest,
    ) -> Result<PullRequest, Error> {
        let mut tries = 0;
        loop {
            let error = match self.find_or_create_once(full_name, new).await {
                Ok(pull) => return Ok(pull),
                Err(error) => error,
            };
            tries += 1;
            // Safe to repeat: each round searches first, and finds a pull request whose response was lost.
            // A concurrent call may cause a refusal before its pull request is listed.
            let pause = if github::is_already_exists(&error) {
                retry::backoff(tries)
            } else {
                retry::retry_delay(&error, tries)
            };
            match pause {
                Some(pause) => dispatch!(self, pause(pause)),
                None => return Err(error),
            }
        }
    }

    async fn find_or_create_once(&self, full_name: &str, new: &NewPullRequest) -> Result<PullRequest, Error> {
        let find = async || {
            let pulls = dispatch!(self, open_pull_requests(full_name, &new.head, RetryPolicy::Once))?;
            Ok::<_, Error>(PullRequest::prefer_base(pulls, &new.base))
        };
        if let Some(pull) = find().await? {
            return Ok(pull);
        }
        match self.create_pull_request(full_name, new).await {
            // A concurrent call may have created it.
            Err(error @ Error::Refused { .. }) => find().await?.ok_or(error),
            other => other,
        }
    }
}
