//! Sends requests to GitHub's REST API.

mod access;
mod app;
mod app_key;
mod client;
mod comments;
mod credential;
mod deliveries;
mod error_body;
mod graphql;
mod hooks;
mod manifest;
mod pages;
mod pull_requests;
mod responses;
mod review_responses;
mod reviews;
mod statuses;
mod threads;
mod token_access;

use serde_json::json;

use crate::{
    Account, Endpoint, Error, NewPullRequest, PullRequest, PullRequestState, Repository, Token, names::RepositoryName,
    retry,
};

pub use app::{
    App, CreatedApp, GitHubApp, Installation, InstallationToken, Permissions, RepositorySelector, convert_manifest,
    revoke_installation_token,
};
use client::{Client, RetryPolicy};
pub(crate) use comments::CommentResponse;
pub use manifest::{AppManifest, GitHubSite, is_account_name};
use responses::{AccountResponse, RepositoryResponse};
pub(crate) use responses::{ActorResponse, PullRequestResponse};
pub(crate) use review_responses::ReviewResponse;
pub use token_access::{TokenAccess, TokenPermission};

#[derive(Clone, Debug)]
pub struct GitHub {
    client: Client,
}

impl GitHub {
    /// Makes no call. Errors: `Settings` for a malformed address or token.
    pub fn new(endpoint: Endpoint, token: Token) -> Result<Self, Error> {
        Ok(Self { client: Client::new(&endpoint, token)? })
    }

    /// Authenticates as the App itself, for its own webhook. Errors: `Settings` for a malformed address.
    pub fn as_app(app: &GitHubApp) -> Result<Self, Error> {
        Ok(Self { client: app.client()? })
    }

    /// Source: `GET /user`.
    pub async fn account(&self) -> Result<Account, Error> {
        let address = self.client.url(&["user"]);
        let answer: AccountResponse = self.client.get(address, "the account", RetryPolicy::Retry).await?;
        Ok(answer.into())
    }

    /// Source: `GET /repos/{owner}/{repo}`.
    pub async fn repository(&self, full_name: &str) -> Result<Repository, Error> {
        let RepositoryName { owner, name } = RepositoryName::parse(full_name)?;
        let address = self.client.url(&["repos", owner, name]);
        let answer: RepositoryResponse = self.client.get(address, full_name, RetryPolicy::Retry).await?;
        Ok(answer.into())
    }

    /// Source: `GET /repos/{owner}/{repo}/pulls`.
    pub async fn open_pull_request(&self, full_name: &str, head_branch: &str) -> Result<Option<PullRequest>, Error> {
        let repository = RepositoryName::parse(full_name)?;
        self.find_open_pull(repository, head_branch, None, RetryPolicy::Retry).await
    }

    /// Source: `GET /repos/{owner}/{repo}/pulls`.
    pub async fn merged_pull_request(&self, full_name: &str, head_branch: &str) -> Result<Option<PullRequest>, Error> {
        let repository = RepositoryName::parse(full_name)?;
        // The list is newest first and includes pull requests closed without a merge.
        let closed = self.list_branch_pulls(repository, head_branch, "closed", RetryPolicy::Retry).await?;
        Ok(closed.into_iter().find(|pull| pull.state == PullRequestState::Merged))
    }

    async fn find_open_pull(
        &self,
        repository: RepositoryName<'_>,
        head_branch: &str,
        preferred_base: Option<&str>,
        tries: RetryPolicy,
    ) -> Result<Option<PullRequest>, Error> {
        let pulls = self.list_branch_pulls(repository, head_branch, "open", tries).await?;
        Ok(PullRequest::prefer_base(pulls, preferred_base))
    }

    async fn list_branch_pulls(
        &self,
        RepositoryName { owner, name }: RepositoryName<'_>,
        head_branch: &str,
        state: &str,
        tries: RetryPolicy,
    ) -> Result<Vec<PullRequest>, Error> {
        let mut address = self.client.url(&["repos", owner, name, "pulls"]);
        address
            .query_pairs_mut()
            .append_pair("state", state)
            .append_pair("head", &format!("{owner}:{head_branch}"))
            .append_pair("per_page", "100");
        let what = format!("{owner}/{name}");
        let answers: Vec<PullRequestResponse> = self.client.get(address, &what, tries).await?;
        // GitHub ignores a filter that it cannot parse, so filter again. Forks may have a branch of the same name.
        let ours = answers.into_iter().filter(PullRequestResponse::is_same_repository).map(PullRequest::from);
        Ok(ours.filter(|pull| pull.head_branch == head_branch).collect())
    }

    /// Source: `POST /repos/{owner}/{repo}/pulls`.
    pub async fn create_pull_request(&self, full_name: &str, new: &NewPullRequest) -> Result<PullRequest, Error> {
        let RepositoryName { owner, name } = RepositoryName::parse(full_name)?;
        let address = self.client.url(&["repos", owner, name, "pulls"]);
        let body = json!({
            "title": new.title,
            "body": new.body,
            "head": new.head,
            "base": new.base,
            "draft": new.draft,
        });
        let answer: PullRequestResponse = self.client.post(address, full_name, &body).await?;
        Ok(answer.into())
    }

    pub async fn find_or_create_pull_request(
        &self,
        full_name: &str,
        new: &NewPullRequest,
    ) -> Result<PullRequest, Error> {
        let repository = RepositoryName::parse(full_name)?;
        let mut tried = 0;
        loop {
            let error = match self.find_or_create_once(full_name, repository, new).await {
                Ok(pull) => return Ok(pull),
                Err(error) => error,
            };
            tried += 1;
            // Safe to repeat: each round searches first. A concurrent call may cause a refusal before it is listed.
            let pause = if error_body::is_already_exists(&error) {
                retry::backoff(tried)
            } else {
                retry::retry_delay(&error, tried)
            };
            match pause {
                Some(pause) => self.client.pause(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn find_or_create_once(
        &self,
        full_name: &str,
        repository: RepositoryName<'_>,
        new: &NewPullRequest,
    ) -> Result<PullRequest, Error> {
        let base = Some(new.base.as_str());
        if let Some(pull) = self.find_open_pull(repository, &new.head, base, RetryPolicy::Once).await? {
            return Ok(pull);
        }
        match self.create_pull_request(full_name, new).await {
            Err(error) if error_body::is_already_exists(&error) => {
                self.find_open_pull(repository, &new.head, base, RetryPolicy::Once).await?.ok_or(error)
            }
            other => other,
        }
    }
}
