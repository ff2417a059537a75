//! GitHub's REST API: which address and body each question takes.
//! How a call is made is in `client`, what answers look like in `answers`.

mod access;
mod answers;
mod app;
mod app_key;
mod client;
mod comments;
mod credential;
mod deliveries;
mod graphql;
mod hooks;
mod pages;
mod pull_requests;
mod refusal;
mod review_answers;
mod reviews;
mod statuses;
mod threads;
mod token_access;

use serde_json::json;

use crate::{
    Account, Branch, Endpoint, Error, NewPullRequest, PullRequest, PullRequestState, Repository, Token,
    names::{RepositoryName, branch_name},
    repeat,
};

use answers::{AccountAnswer, BranchAnswer, PullRequestAnswer, RepositoryAnswer};
pub use app::{
    App, ConvertedApp, GitHubApp, Installation, InstallationToken, Only, Permissions, convert_manifest,
    revoke_installation_token,
};
use client::{Client, Tries};
pub use token_access::{Right, TokenAccess};

/// github.com or a GitHub Enterprise Server, and what we prove ourselves by there; cheap to clone.
#[derive(Clone, Debug)]
pub struct GitHub {
    client: Client,
}

impl GitHub {
    /// Prepares calls; makes none.
    ///
    /// Errors: `Settings` when the address or the token can't be used.
    pub fn new(endpoint: Endpoint, token: Token) -> Result<Self, Error> {
        Ok(Self { client: Client::new(&endpoint, token)? })
    }

    /// As the App itself, for its own hook: each request has a JWT of its own, and no token is made.
    ///
    /// Errors: `Settings` when the address can't be used.
    pub fn as_app(app: &GitHubApp) -> Result<Self, Error> {
        Ok(Self { client: app.client()? })
    }

    /// See [`Forge::account`](crate::Forge::account). Source: `GET /user`.
    pub async fn account(&self) -> Result<Account, Error> {
        let address = self.client.address(&["user"]);
        let answer: AccountAnswer = self.client.get(address, "the account", Tries::Three).await?;
        Ok(answer.into())
    }

    /// See [`Forge::repository`](crate::Forge::repository). Source: `GET /repos/{owner}/{repo}`.
    pub async fn repository(&self, full_name: &str) -> Result<Repository, Error> {
        let RepositoryName { owner, name } = RepositoryName::parse(full_name)?;
        let address = self.client.address(&["repos", owner, name]);
        let answer: RepositoryAnswer = self.client.get(address, full_name, Tries::Three).await?;
        Ok(answer.into())
    }

    /// See [`Forge::branch`](crate::Forge::branch). Source: `GET /repos/{owner}/{repo}/branches/{branch}`.
    pub async fn branch(&self, full_name: &str, name: &str) -> Result<Option<Branch>, Error> {
        let repository = RepositoryName::parse(full_name)?;
        let Some(name) = branch_name(name) else { return Ok(None) };
        let segments = ["repos", repository.owner, repository.name, "branches", name];
        let address = self.client.address(&segments);
        match self.client.get::<BranchAnswer>(address, full_name, Tries::Three).await {
            // A renamed branch redirects to its new name, which git does not do.
            Ok(answer) => Ok(Some(Branch::from(answer)).filter(|branch| branch.name == name)),
            // The same status as for a repository that isn't there: only the words differ.
            Err(Error::NotFound { message, .. }) if message == "Branch not found" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// See [`Forge::open_pull_request`](crate::Forge::open_pull_request).
    /// Source: `GET /repos/{owner}/{repo}/pulls`.
    pub async fn open_pull_request(&self, full_name: &str, head_branch: &str) -> Result<Option<PullRequest>, Error> {
        let repository = RepositoryName::parse(full_name)?;
        self.find(repository, head_branch, None, Tries::Three).await
    }

    /// See [`Forge::merged_pull_request`](crate::Forge::merged_pull_request).
    /// Source: `GET /repos/{owner}/{repo}/pulls`.
    pub async fn merged_pull_request(&self, full_name: &str, head_branch: &str) -> Result<Option<PullRequest>, Error> {
        let repository = RepositoryName::parse(full_name)?;
        // Those that were closed and not merged are among them. The newest comes first.
        let closed = self.of_branch(repository, head_branch, "closed", Tries::Three).await?;
        Ok(closed.into_iter().find(|pull| pull.state == PullRequestState::Merged))
    }

    async fn find(
        &self,
        repository: RepositoryName<'_>,
        head_branch: &str,
        preferred_base: Option<&str>,
        tries: Tries,
    ) -> Result<Option<PullRequest>, Error> {
        let found = self.of_branch(repository, head_branch, "open", tries).await?;
        Ok(PullRequest::preferred(found, preferred_base))
    }

    /// The pull requests of a branch of the repository's own, in GitHub's state `open` or `closed`.
    async fn of_branch(
        &self,
        RepositoryName { owner, name }: RepositoryName<'_>,
        head_branch: &str,
        state: &str,
        tries: Tries,
    ) -> Result<Vec<PullRequest>, Error> {
        let mut address = self.client.address(&["repos", owner, name, "pulls"]);
        address
            .query_pairs_mut()
            .append_pair("state", state)
            .append_pair("head", &format!("{owner}:{head_branch}"))
            .append_pair("per_page", "100");
        let what = format!("{owner}/{name}");
        let answers: Vec<PullRequestAnswer> = self.client.get(address, &what, tries).await?;
        // GitHub lists everything when it can't read the filter: never trust it alone. A fork may have a branch of the
        // same name.
        let ours = answers.into_iter().filter(PullRequestAnswer::is_from_here).map(PullRequest::from);
        Ok(ours.filter(|pull| pull.head_branch == head_branch).collect())
    }

    /// See [`Forge::create_pull_request`](crate::Forge::create_pull_request).
    /// Source: `POST /repos/{owner}/{repo}/pulls`.
    pub async fn create_pull_request(&self, full_name: &str, new: &NewPullRequest) -> Result<PullRequest, Error> {
        let RepositoryName { owner, name } = RepositoryName::parse(full_name)?;
        let address = self.client.address(&["repos", owner, name, "pulls"]);
        let body = json!({
            "title": new.title,
            "body": new.body,
            "head": new.head,
            "base": new.base,
            "draft": new.draft,
        });
        let answer: PullRequestAnswer = self.client.post(address, full_name, &body).await?;
        Ok(answer.into())
    }

    /// See [`Forge::find_or_create_pull_request`](crate::Forge::find_or_create_pull_request).
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
            // Creating may be repeated here, because each round looks first: an answer that was
            // lost on the way back is found as the pull request it created. A twin's pull request
            // may also be refused to us before it is listed.
            let pause =
                if refusal::says_it_exists(&error) { repeat::pause(tried) } else { repeat::pause_after(&error, tried) };
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
        if let Some(pull) = self.find(repository, &new.head, base, Tries::One).await? {
            return Ok(pull);
        }
        match self.create_pull_request(full_name, new).await {
            Err(error) if refusal::says_it_exists(&error) => {
                self.find(repository, &new.head, base, Tries::One).await?.ok_or(error)
            }
            other => other,
        }
    }
}
