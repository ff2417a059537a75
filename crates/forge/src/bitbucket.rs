//! Bitbucket Cloud's REST API: which address and body each question takes.
//! How a call is made is in `call`, what answers look like in `answers`.

mod answers;
mod comments;
mod hooks;
mod id;
mod login;
mod pages;
mod people;
mod permission;
mod pull_requests;
mod refusal;
mod reviews;
mod statuses;
#[cfg(test)]
mod tests;
mod threads;

use reqwest::Url;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::{
    Account, Branch, Endpoint, Error, NewPullRequest, PullRequest, Repository, Token,
    call::{self, Tries},
    names::{RepositoryName, branch_name},
    repeat,
};

use answers::{AccountAnswer, BranchAnswer, Lacks, PullRequestAnswer, RepositoryAnswer};
pub(crate) use id::{id_of, review_id};
use login::Login;
pub use login::bitbucket_git_login;
use pages::PageAnswer;

type Client = call::Client<Login>;

/// What a token is asked first.
const ACCOUNT: &str = "the token's account";

/// What an API token needs to be told whose it is.
const USER_SCOPE: &str = "read:user:bitbucket";

/// Whether these are Bitbucket's words for what it tells no access token.
fn is_for_nobody(message: &str) -> bool {
    message.to_lowercase().contains("not accessible by this authentication mechanism")
}

/// A text as it stands in Bitbucket's language of queries.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}

/// Bitbucket Cloud, and what we prove ourselves by there; cheap to clone.
///
/// Repositories and accounts have UUIDs there; the ids that are told are made of these, and survive renames as well.
#[derive(Clone, Debug)]
pub struct Bitbucket {
    client: Client,
    /// It is somebody's, and not a repository's, a project's or a workspace's.
    is_api_token: bool,
}

impl Bitbucket {
    /// Prepares calls; makes none. The token is an access token, or `E-MAIL:API-TOKEN`.
    ///
    /// Errors: `Settings` when the address or the token can't be used.
    pub fn new(endpoint: Endpoint, token: Token) -> Result<Self, Error> {
        let login = Login::new(&token)?;
        let is_api_token = login.is_api_token();
        Ok(Self { client: Client::build(&endpoint, login)?, is_api_token })
    }

    /// The address of a repository with these segments after it.
    fn address(&self, repository: RepositoryName<'_>, rest: &[&str]) -> Url {
        let segments = [&["repositories", repository.owner, repository.name][..], rest].concat();
        self.client.address(&segments)
    }

    /// See [`Forge::account`](crate::Forge::account). Bitbucket's `GET /user`.
    pub async fn account(&self) -> Result<Account, Error> {
        let address = self.client.address(&["user"]);
        let answer = match self.client.get::<AccountAnswer>(address, ACCOUNT, Tries::Three).await {
            // An access token is good for its repositories and not told whose it is. It was seen to get a 403 for that;
            // these words say so with any status.
            Err(Error::Denied { message, .. }) if is_for_nobody(&message) => {
                return Err(Error::Forbidden { what: ACCOUNT.to_owned(), message });
            }
            // An API token is somebody's: it could say whose, and is let in nowhere before it does.
            Err(Error::Forbidden { message, .. }) if self.is_api_token => {
                let message = match message.contains(USER_SCOPE) {
                    true => message,
                    false => format!("{message} (an API token needs the scope {USER_SCOPE} for this)"),
                };
                return Err(Error::Denied { host: self.client.host.clone(), message });
            }
            // An API token that stands alone is taken for an access token, and known to nobody.
            Err(Error::Denied { host, message }) => {
                let message = format!("{message} (an API token is written E-MAIL:API-TOKEN, an access token alone)");
                return Err(Error::Denied { host, message });
            }
            other => other?,
        };
        answer.account().ok_or_else(|| self.client.not_understood("the account has no UUID"))
    }

    /// See [`Forge::repository`](crate::Forge::repository). Bitbucket's `GET /repositories/{workspace}/{repo_slug}`.
    pub async fn repository(&self, full_name: &str) -> Result<Repository, Error> {
        let address = self.address(RepositoryName::parse(full_name)?, &[]);
        let answer: RepositoryAnswer = self.client.get(address, full_name, Tries::Three).await?;
        answer.repository().map_err(|lacks| match lacks {
            Lacks::MainBranch => Error::NotFound {
                what: format!("the main branch of {full_name}"),
                message: "the repository has no branch yet".to_owned(),
            },
            Lacks::CloneAddress => self.client.not_understood("the repository can't be cloned by HTTPS"),
        })
    }

    /// See [`Forge::branch`](crate::Forge::branch).
    /// Bitbucket's `GET /repositories/{workspace}/{repo_slug}/refs/branches/{name}`.
    pub async fn branch(&self, full_name: &str, name: &str) -> Result<Option<Branch>, Error> {
        let repository = RepositoryName::parse(full_name)?;
        let Some(name) = branch_name(name) else { return Ok(None) };
        let address = self.address(repository, &["refs", "branches", name]);
        match self.client.get::<BranchAnswer>(address, full_name, Tries::Three).await {
            Ok(answer) => Ok(Some(Branch::from(answer)).filter(|branch| branch.name == name)),
            // The same status as for a repository that isn't there, which answers for itself.
            Err(Error::NotFound { .. }) => {
                let address = self.address(repository, &[]);
                self.client.get::<IgnoredAny>(address, full_name, Tries::Three).await.map(|_| None)
            }
            Err(error) => Err(error),
        }
    }

    /// See [`Forge::open_pull_request`](crate::Forge::open_pull_request).
    /// Bitbucket's `GET /repositories/{workspace}/{repo_slug}/pullrequests`.
    pub async fn open_pull_request(&self, full_name: &str, head_branch: &str) -> Result<Option<PullRequest>, Error> {
        self.find(RepositoryName::parse(full_name)?, head_branch, None, Tries::Three).await
    }

    /// See [`Forge::merged_pull_request`](crate::Forge::merged_pull_request).
    /// Bitbucket's `GET /repositories/{workspace}/{repo_slug}/pullrequests`.
    pub async fn merged_pull_request(&self, full_name: &str, head_branch: &str) -> Result<Option<PullRequest>, Error> {
        let repository = RepositoryName::parse(full_name)?;
        Ok(self.of_branch(repository, head_branch, "MERGED", Tries::Three).await?.into_iter().next())
    }

    async fn find(
        &self,
        repository: RepositoryName<'_>,
        head_branch: &str,
        preferred_base: Option<&str>,
        tries: Tries,
    ) -> Result<Option<PullRequest>, Error> {
        let found = self.of_branch(repository, head_branch, "OPEN", tries).await?;
        Ok(PullRequest::preferred(found, preferred_base))
    }

    /// The pull requests of a branch of the repository's own in one of Bitbucket's states, the newest first.
    async fn of_branch(
        &self,
        repository: RepositoryName<'_>,
        head_branch: &str,
        state: &str,
        tries: Tries,
    ) -> Result<Vec<PullRequest>, Error> {
        let mut address = self.address(repository, &["pullrequests"]);
        address
            .query_pairs_mut()
            .append_pair("q", &format!("source.branch.name={} AND state={}", quoted(head_branch), quoted(state)))
            .append_pair("sort", "-updated_on")
            .append_pair("pagelen", pull_requests::PER_PAGE);
        let what = format!("{}/{}", repository.owner, repository.name);
        let page: PageAnswer<PullRequestAnswer> = self.client.get(address, &what, tries).await?;
        // A fork may have a branch of the same name.
        let ours = page.values.into_iter().filter(PullRequestAnswer::is_from_here).map(PullRequest::from);
        let mut found: Vec<PullRequest> = ours.filter(|pull| pull.head_branch == head_branch).collect();
        found.sort_by_key(|pull| std::cmp::Reverse(pull.number));
        Ok(found)
    }

    /// See [`Forge::create_pull_request`](crate::Forge::create_pull_request).
    /// Bitbucket's `POST /repositories/{workspace}/{repo_slug}/pullrequests`.
    ///
    /// Where the branch has an open one to the same base, Bitbucket opens none and gives that one its title and text.
    pub async fn create_pull_request(&self, full_name: &str, new: &NewPullRequest) -> Result<PullRequest, Error> {
        let address = self.address(RepositoryName::parse(full_name)?, &["pullrequests"]);
        let body = json!({
            "title": new.title,
            "description": new.body,
            "source": { "branch": { "name": new.head } },
            "destination": { "branch": { "name": new.base } },
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
            // Creating may be repeated here, because each round looks first: an answer that was lost on the way back
            // is found as the pull request it created.
            match repeat::pause_after(&error, tried) {
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
            // Bitbucket was seen to take the new one for a change of a twin's. Should it refuse it one day, the twin's
            // is there to be found; for every other refusal there is none.
            Err(error @ Error::Refused { .. }) => {
                self.find(repository, &new.head, base, Tries::One).await?.ok_or(error)
            }
            other => other,
        }
    }
}
