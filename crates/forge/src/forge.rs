//! The calls that all forges support, dispatched to the forge's client.

use crate::{
    Account, Bitbucket, Endpoint, Error, GitHub, NewPullRequest, PullRequest, Repository, Token, bitbucket,
    features::{FeatureRow, FeatureStatus, WorkflowPolicy},
    github,
    http_client::RetryPolicy,
    pull_request::not_visible_yet,
    retry,
    vendor::{GitLogin, Vendor},
};
use pullyard_domain::project::forge::ForgeKind;

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
mod review_posts;
mod reviews;

pub use review_posts::ReviewPosts;

pub type IssueClient = GitHub;

#[derive(Clone, Debug)]
pub enum Forge {
    GitHub(GitHub),
    Bitbucket(Bitbucket),
}

pub(crate) fn vendor(kind: ForgeKind) -> &'static Vendor {
    match kind {
        ForgeKind::GitHub => &github::VENDOR,
        ForgeKind::Bitbucket => &bitbucket::VENDOR,
    }
}

pub fn git_login(kind: ForgeKind, token: &str) -> GitLogin<'_> {
    (vendor(kind).git_login)(token)
}

impl Forge {
    /// Sends nothing. Errors: `Settings` for an address or a token that cannot be right.
    pub fn connect(kind: ForgeKind, endpoint: Endpoint, token: Token) -> Result<Self, Error> {
        match kind {
            ForgeKind::GitHub => GitHub::new(endpoint, token).map(Self::GitHub),
            ForgeKind::Bitbucket => Bitbucket::new(endpoint, token).map(Self::Bitbucket),
        }
    }

    /// The client of issues, with labels and their history; `None` if the forge has none.
    pub fn into_issue_client(self) -> Option<IssueClient> {
        match self {
            Self::GitHub(client) => Some(client),
            Self::Bitbucket(_) => None,
        }
    }

    /// Errors: `Denied` for a wrong token.
    pub async fn account(&self) -> Result<Account, Error> {
        dispatch!(self, account())
    }

    /// Which features work in the repository with this token.
    /// Errors: `NotFound` for a repository hidden from the token.
    pub async fn test_features(
        &self,
        full_name: &str,
        workflows: WorkflowPolicy,
    ) -> Result<Vec<(&'static FeatureRow, FeatureStatus)>, Error> {
        dispatch!(self, test_features(full_name, workflows))
    }

    /// Also finds a renamed repository; use the returned `full_name` from then on.
    /// Errors: `NotFound` for a missing repository, or one hidden from the token.
    pub async fn repository(&self, full_name: &str) -> Result<Repository, Error> {
        dispatch!(self, repository(full_name))
    }

    pub async fn has_branch(&self, full_name: &str, branch: &str) -> Result<bool, Error> {
        dispatch!(self, has_branch(full_name, branch))
    }

    pub async fn open_pull_request(&self, full_name: &str, head_branch: &str) -> Result<Option<PullRequest>, Error> {
        let pulls = dispatch!(self, open_pull_requests(full_name, head_branch, RetryPolicy::Retry))?;
        Ok(pulls.into_iter().next())
    }

    /// Not idempotent: after a transient error it may exist; Bitbucket overwrites title and text if the base is equal.
    /// Errors: `Refused`, for example for a branch without new commits; `NotVisibleYet` for a branch that is missing or
    /// was just pushed.
    pub async fn create_pull_request(&self, full_name: &str, new: &NewPullRequest) -> Result<PullRequest, Error> {
        dispatch!(self, create_pull_request(full_name, new)).map_err(not_visible_yet)
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
                None if github::is_already_exists(&error) => {
                    return self.find_under_current_name(full_name, new).await.ok_or(error);
                }
                None => return Err(error),
            }
        }
    }

    /// The search filters by owner, so it finds nothing under the name before a transfer.
    async fn find_under_current_name(&self, full_name: &str, new: &NewPullRequest) -> Option<PullRequest> {
        let current = self.repository(full_name).await.ok()?.full_name;
        let pulls = dispatch!(self, open_pull_requests(&current, &new.head, RetryPolicy::Once)).ok()?;
        PullRequest::prefer_base(pulls, &new.base)
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
