//! GitHub's responses, reduced to the fields that we read.

use serde::Deserialize;

use crate::{Account, Actor, BaseRepository, PullRequest, PullRequestState, Repository, Time};

#[derive(Deserialize)]
pub(super) struct AccountResponse {
    id: u64,
    login: String,
}

impl From<AccountResponse> for Account {
    fn from(AccountResponse { id, login }: AccountResponse) -> Self {
        Self { id, login }
    }
}

#[derive(Deserialize)]
pub(crate) struct ActorResponse {
    id: u64,
    login: String,
    #[serde(rename = "type", default)]
    kind: String,
}

impl From<ActorResponse> for Actor {
    fn from(ActorResponse { id, login, kind }: ActorResponse) -> Self {
        Self { id, login, is_bot: kind == "Bot" }
    }
}

#[derive(Deserialize)]
pub(super) struct RepositoryResponse {
    id: u64,
    full_name: String,
    default_branch: String,
    clone_url: String,
}

impl From<RepositoryResponse> for Repository {
    fn from(answer: RepositoryResponse) -> Self {
        let RepositoryResponse { id, full_name, default_branch, clone_url } = answer;
        Self { id, full_name, default_branch, clone_url }
    }
}

#[derive(Deserialize)]
pub(crate) struct PullRequestResponse {
    number: u64,
    html_url: String,
    title: String,
    state: StateResponse,
    #[serde(default)]
    draft: bool,
    updated_at: Time,
    merged_at: Option<String>,
    head: HeadResponse,
    base: BaseResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateResponse {
    Open,
    Closed,
}

#[derive(Deserialize)]
struct HeadResponse {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    repo: Option<RefRepositoryResponse>,
}

#[derive(Deserialize)]
struct BaseResponse {
    #[serde(rename = "ref")]
    branch: String,
    repo: Option<RefRepositoryResponse>,
}

#[derive(Deserialize)]
struct RefRepositoryResponse {
    id: u64,
    full_name: Option<String>,
}

impl From<RefRepositoryResponse> for BaseRepository {
    fn from(RefRepositoryResponse { id, full_name }: RefRepositoryResponse) -> Self {
        Self { id, full_name }
    }
}

impl PullRequestResponse {
    pub(super) fn is_same_repository(&self) -> bool {
        match (&self.head.repo, &self.base.repo) {
            (Some(head), Some(base)) => head.id == base.id,
            (None, Some(_)) => false,
            (_, None) => true,
        }
    }
}

impl From<PullRequestResponse> for PullRequest {
    fn from(answer: PullRequestResponse) -> Self {
        Self {
            number: answer.number,
            url: answer.html_url,
            head_sha: answer.head.sha,
            head_branch: answer.head.branch,
            head_repository: answer.head.repo.map(|repository| repository.id),
            base_branch: answer.base.branch,
            base_repository: answer.base.repo.map(BaseRepository::from),
            state: match (answer.state, answer.merged_at) {
                (StateResponse::Open, _) => PullRequestState::Open,
                (StateResponse::Closed, None) => PullRequestState::Closed,
                (StateResponse::Closed, Some(_)) => PullRequestState::Merged,
            },
            draft: answer.draft,
            title: answer.title,
            updated_at: answer.updated_at,
        }
    }
}
