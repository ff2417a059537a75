//! GitHub's responses, reduced to the fields that we read.

use serde::Deserialize;

use crate::{Account, Actor, BaseRepository, Branch, PullRequest, PullRequestState, Repository, Time};

#[derive(Deserialize)]
pub(super) struct AccountAnswer {
    id: u64,
    login: String,
}

impl From<AccountAnswer> for Account {
    fn from(AccountAnswer { id, login }: AccountAnswer) -> Self {
        Self { id, login }
    }
}

#[derive(Deserialize)]
pub(super) struct ActorAnswer {
    id: u64,
    login: String,
    #[serde(rename = "type", default)]
    kind: String,
}

impl From<ActorAnswer> for Actor {
    fn from(ActorAnswer { id, login, kind }: ActorAnswer) -> Self {
        Self { id, login, is_bot: kind == "Bot" }
    }
}

#[derive(Deserialize)]
pub(super) struct RepositoryAnswer {
    id: u64,
    full_name: String,
    default_branch: String,
    clone_url: String,
    html_url: String,
    private: bool,
}

impl From<RepositoryAnswer> for Repository {
    fn from(answer: RepositoryAnswer) -> Self {
        let RepositoryAnswer { id, full_name, default_branch, clone_url, html_url, private } = answer;
        Self { id, full_name, default_branch, clone_url, html_url, private }
    }
}

#[derive(Deserialize)]
pub(super) struct BranchAnswer {
    name: String,
    commit: CommitAnswer,
}

#[derive(Deserialize)]
struct CommitAnswer {
    sha: String,
}

impl From<BranchAnswer> for Branch {
    fn from(BranchAnswer { name, commit }: BranchAnswer) -> Self {
        Self { name, sha: commit.sha }
    }
}

#[derive(Deserialize)]
pub(super) struct PullRequestAnswer {
    number: u64,
    html_url: String,
    title: String,
    state: StateAnswer,
    #[serde(default)]
    draft: bool,
    user: Option<ActorAnswer>,
    updated_at: Time,
    merged_at: Option<String>,
    head: EndAnswer,
    base: EndAnswer,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateAnswer {
    Open,
    Closed,
}

#[derive(Deserialize)]
struct EndAnswer {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    repo: Option<EndRepositoryAnswer>,
}

#[derive(Deserialize)]
struct EndRepositoryAnswer {
    id: u64,
    full_name: Option<String>,
}

impl From<EndRepositoryAnswer> for BaseRepository {
    fn from(EndRepositoryAnswer { id, full_name }: EndRepositoryAnswer) -> Self {
        Self { id, full_name }
    }
}

impl PullRequestAnswer {
    /// Whether the head branch is in the base repository; true if the base repository is unknown.
    pub(super) fn is_from_here(&self) -> bool {
        match (&self.head.repo, &self.base.repo) {
            (Some(head), Some(base)) => head.id == base.id,
            (None, Some(_)) => false,
            (_, None) => true,
        }
    }
}

impl From<PullRequestAnswer> for PullRequest {
    fn from(answer: PullRequestAnswer) -> Self {
        Self {
            number: answer.number,
            url: answer.html_url,
            head_sha: answer.head.sha,
            head_branch: answer.head.branch,
            head_repository: answer.head.repo.map(|repository| repository.id),
            base_branch: answer.base.branch,
            base_repository: answer.base.repo.map(BaseRepository::from),
            state: match (answer.state, answer.merged_at) {
                (StateAnswer::Open, _) => PullRequestState::Open,
                (StateAnswer::Closed, None) => PullRequestState::Closed,
                (StateAnswer::Closed, Some(_)) => PullRequestState::Merged,
            },
            draft: answer.draft,
            title: answer.title,
            author: answer.user.map(Actor::from),
            updated_at: answer.updated_at,
        }
    }
}
