//! GitHub's responses, reduced to the fields that we read.

use serde::Deserialize;

use crate::{Actor, BaseRepository, PullRequest, PullRequestState, Time};

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
    repo: Option<BaseRepository>,
}

#[derive(Deserialize)]
struct BaseResponse {
    #[serde(rename = "ref")]
    branch: String,
    repo: Option<BaseRepository>,
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
            base_repository: answer.base.repo,
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
