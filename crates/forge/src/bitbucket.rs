//! Sends requests to Bitbucket Cloud's REST API.

mod comments;
mod credential;
mod error_body;
mod features;
mod hooks;
mod id;
mod new_review;
mod open_items;
mod pages;
mod participants;
mod permission;
mod pull_requests;
mod push_refusal;
mod responses;
mod reviews;
mod statuses;
#[cfg(test)]
mod tests;
mod threads;
mod unsupported;
mod webhook;

use std::time::Duration;

use reqwest::Url;
use serde_json::json;

use crate::{
    Account, Endpoint, Error, NewPullRequest, PullRequest, Repository, Token,
    error::is_found,
    http_client::{self, RetryPolicy},
    names::RepositoryName,
    vendor::Vendor,
};

use comments::CommentResponse;
use credential::Credential;
use credential::git_login;
pub(crate) use id::{review_id, uuid_to_id};
use pages::PageResponse;
use participants::ParticipantsResponse;
use responses::RepositoryResponse;
pub(crate) use responses::{AccountResponse, PullRequestResponse};

pub(crate) static VENDOR: Vendor = Vendor {
    git_login,
    is_event_name: webhook::is_event_name,
    parse_event: webhook::parse_event,
    push_phrases: &push_refusal::PHRASES,
};

type Client = http_client::Client<Credential>;

const ACCOUNT_SUBJECT: &str = "the token's account";

const USER_SCOPE: &str = "read:user:bitbucket";

fn is_token_kind_refused(message: &str) -> bool {
    message.to_lowercase().contains("not accessible by this authentication mechanism")
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}

/// A client of Bitbucket Cloud; cheap to clone. Numeric ids are hashes of Bitbucket's UUIDs and survive renames.
#[derive(Clone, Debug)]
pub struct Bitbucket {
    client: Client,
    /// An API token belongs to an account, an access token to a repository, project or workspace.
    is_api_token: bool,
}

impl Bitbucket {
    /// Makes no call. The token is an access token, or `E-MAIL:API-TOKEN`. Errors: `Settings` if it is malformed.
    pub fn new(endpoint: Endpoint, token: Token) -> Result<Self, Error> {
        let client = Client::build(&endpoint, Credential::new(&token)?)?;
        Ok(Self { client, is_api_token: token.reveal().contains(':') })
    }

    fn url(&self, full_name: &str, rest: &[&str]) -> Result<Url, Error> {
        let RepositoryName { owner, name } = RepositoryName::parse(full_name)?;
        Ok(self.client.url(&[&["repositories", owner, name][..], rest].concat()))
    }

    pub async fn account(&self) -> Result<Account, Error> {
        let address = self.client.url(&["user"]);
        let answer = match self.client.get::<AccountResponse>(address, ACCOUNT_SUBJECT, RetryPolicy::Retry).await {
            // Bitbucket refuses this call even to valid access tokens. Map a 401 with this text like the observed 403.
            Err(Error::Denied { message, .. }) if is_token_kind_refused(&message) => {
                return Err(Error::Forbidden { resource: ACCOUNT_SUBJECT.to_owned(), message });
            }
            Err(Error::Forbidden { message, .. }) if self.is_api_token => {
                let message = match message.contains(USER_SCOPE) {
                    true => message,
                    false => format!("{message} (an API token needs the scope {USER_SCOPE} for this)"),
                };
                return Err(Error::Denied { host: self.client.host.clone(), message });
            }
            // Without the e-mail address an API token is sent as an access token, which Bitbucket rejects.
            Err(Error::Denied { host, message }) => {
                let message = format!("{message} (an API token is written E-MAIL:API-TOKEN, an access token alone)");
                return Err(Error::Denied { host, message });
            }
            other => other?,
        };
        answer.account().ok_or_else(|| self.client.unexpected_response("the account has no UUID"))
    }

    pub async fn repository(&self, full_name: &str) -> Result<Repository, Error> {
        let address = self.url(full_name, &[])?;
        let answer: RepositoryResponse = self.client.get(address, full_name, RetryPolicy::Retry).await?;
        let clone_url = answer
            .clone_url()
            .ok_or_else(|| self.client.unexpected_response("the repository can't be cloned by HTTPS"))?;
        let main_branch = answer.mainbranch.ok_or_else(|| Error::NotFound {
            resource: format!("the main branch of {full_name}"),
            message: "the repository has no branch yet".to_owned(),
        })?;
        Ok(Repository {
            id: uuid_to_id(&answer.uuid),
            full_name: answer.full_name,
            default_branch: main_branch.name,
            clone_url,
            archived: false,
        })
    }

    /// Source: `GET /repositories/{workspace}/{repo_slug}/refs/branches/{name}`.
    pub async fn has_branch(&self, full_name: &str, branch: &str) -> Result<bool, Error> {
        let path: Vec<&str> = ["refs", "branches"].into_iter().chain(branch.split('/')).collect();
        let address = self.url(full_name, &path)?;
        is_found(self.client.get(address, branch, RetryPolicy::Retry).await)
    }

    pub(crate) async fn open_pull_requests(
        &self,
        full_name: &str,
        head_branch: &str,
        policy: RetryPolicy,
    ) -> Result<Vec<PullRequest>, Error> {
        let mut address = self.url(full_name, &["pullrequests"])?;
        address
            .query_pairs_mut()
            .append_pair("q", &format!("source.branch.name={} AND state=\"OPEN\"", quote(head_branch)))
            .append_pair("sort", "-updated_on")
            .append_pair("pagelen", pull_requests::PER_PAGE);
        let page: PageResponse<PullRequestResponse> = self.client.get(address, full_name, policy).await?;
        // Forks may have a branch of the same name.
        let pulls = page.values.into_iter().filter(PullRequestResponse::is_same_repository).map(PullRequest::from);
        let mut pulls: Vec<PullRequest> = pulls.filter(|pull| pull.head_branch == head_branch).collect();
        pulls.sort_by_key(|pull| std::cmp::Reverse(pull.number));
        Ok(pulls)
    }

    /// Bitbucket overwrites title and text of an open pull request with the same head and base, and returns it.
    /// Source: `POST /repositories/{workspace}/{repo_slug}/pullrequests`.
    pub async fn create_pull_request(&self, full_name: &str, new: &NewPullRequest) -> Result<PullRequest, Error> {
        let address = self.url(full_name, &["pullrequests"])?;
        let body = json!({
            "title": new.title,
            "description": new.body,
            "source": { "branch": { "name": new.head } },
            "destination": { "branch": { "name": new.base } },
            "draft": new.draft,
        });
        let answer: PullRequestResponse = self.client.post(address, full_name, &body).await?;
        Ok(answer.into())
    }

    pub(crate) async fn pause(&self, by: Duration) {
        self.client.pause(by).await;
    }
}
