//! Sends requests to GitHub's REST API.

mod access;
mod app;
mod app_key;
mod app_permissions;
mod client;
mod comments;
mod credential;
mod error_body;
mod features;
mod graphql;
mod hooks;
mod issues;
mod manifest;
mod open_items;
mod pages;
mod permissions;
mod pull_requests;
mod push_refusal;
mod responses;
mod reviews;
mod start_event;
mod statuses;
mod threads;
mod token_access;
mod webhook;

use std::time::Duration;

use reqwest::Url;
use serde_json::json;

use crate::{
    Account, Endpoint, Error, GitLogin, NewPullRequest, PullRequest, Repository, Token, error::is_found,
    names::RepositoryName, vendor::Vendor,
};

pub use app::{
    App, CreatedApp, GitHubApp, Installation, InstallationToken, Permissions, RepositorySelector, convert_manifest,
    revoke_installation_token,
};
pub use app_permissions::{
    APP_EVENTS, analysing_permissions, app_permissions, attempt_permissions, control_permissions,
    minimum_app_permissions, reading_permissions, reviewing_permissions,
};
use client::{Client, RetryPolicy};
pub(crate) use error_body::is_already_exists;
pub use issues::{ChangedComment, Issue, IssueChange, IssueChangeKind};
pub use manifest::{AppManifest, GitHubSite, is_account_name};
pub use permissions::missing_permissions;
pub(crate) use responses::{PullRequestResponse, ReviewResponse};
pub use start_event::{StartEvent, parse_start_event};
pub use token_access::{TokenAccess, TokenPermission};

pub(crate) static VENDOR: Vendor = Vendor {
    git_login: |token| GitLogin { user: "x-access-token", password: token },
    is_event_name: webhook::is_event_name,
    parse_event: webhook::parse_event,
    push_phrases: &push_refusal::PHRASES,
};

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
        self.client.get(address, "the account", RetryPolicy::Retry).await
    }

    /// Source: `GET /repos/{owner}/{repo}`.
    pub async fn repository(&self, full_name: &str) -> Result<Repository, Error> {
        let address = self.url(full_name, &[])?;
        self.client.get(address, full_name, RetryPolicy::Retry).await
    }

    /// Source: `GET /repos/{owner}/{repo}/git/ref/{ref}`.
    pub async fn has_branch(&self, full_name: &str, branch: &str) -> Result<bool, Error> {
        let path: Vec<&str> = ["git", "ref", "heads"].into_iter().chain(branch.split('/')).collect();
        let address = self.url(full_name, &path)?;
        is_found(self.client.get(address, branch, RetryPolicy::Retry).await)
    }

    /// Source: `GET /repos/{owner}/{repo}/pulls`.
    pub(crate) async fn open_pull_requests(
        &self,
        full_name: &str,
        head_branch: &str,
        policy: RetryPolicy,
    ) -> Result<Vec<PullRequest>, Error> {
        let RepositoryName { owner, .. } = RepositoryName::parse(full_name)?;
        let mut address = self.url(full_name, &["pulls"])?;
        address
            .query_pairs_mut()
            .append_pair("state", "open")
            .append_pair("head", &format!("{owner}:{head_branch}"))
            .append_pair("per_page", "100");
        let answers: Vec<PullRequestResponse> = self.client.get(address, full_name, policy).await?;
        // GitHub ignores a filter that it cannot parse, so filter again. Forks may have a branch of the same name.
        let pulls = answers.into_iter().filter(PullRequestResponse::is_same_repository).map(PullRequest::from);
        Ok(pulls.filter(|pull| pull.head_branch == head_branch).collect())
    }

    /// Source: `POST /repos/{owner}/{repo}/pulls`.
    pub async fn create_pull_request(&self, full_name: &str, new: &NewPullRequest) -> Result<PullRequest, Error> {
        let address = self.url(full_name, &["pulls"])?;
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

    pub(crate) async fn pause(&self, by: Duration) {
        self.client.pause(by).await;
    }

    fn url(&self, full_name: &str, rest: &[&str]) -> Result<Url, Error> {
        let RepositoryName { owner, name } = RepositoryName::parse(full_name)?;
        Ok(self.client.url(&[&["repos", owner, name][..], rest].concat()))
    }
}
