//! GitHub's responses, reduced to the fields that we read.

use serde::{Deserialize, Deserializer};

use crate::{
    Actor, BaseRepository, Lines, PullRequest, PullRequestState, Review, ReviewComment, ReviewState, Side, Time,
};

#[derive(Deserialize)]
pub(super) struct ActorResponse {
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

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ActorResponse::deserialize(deserializer).map(Self::from)
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
    user: Option<Actor>,
    created_at: Option<Time>,
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
            author: answer.user,
            title: answer.title,
            created_at: answer.created_at,
            updated_at: answer.updated_at,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct ReviewResponse {
    id: u64,
    state: String,
    body: Option<String>,
    submitted_at: Option<Time>,
    /// Only in webhooks.
    updated_at: Option<Time>,
    html_url: String,
    user: Option<Actor>,
}

impl ReviewResponse {
    /// `None` for an unknown verdict: GitHub's schema allows any text.
    pub(crate) fn into_review(self) -> Option<Review> {
        Some(Review {
            id: self.id,
            state: ReviewState::parse(&self.state)?,
            body: self.body.unwrap_or_default(),
            parts: Vec::new(),
            submitted_at: self.submitted_at,
            updated_at: self.updated_at,
            url: self.html_url,
            author: self.user,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct ReviewCommentResponse {
    pub(super) id: u64,
    pub(super) pull_request_review_id: Option<u64>,
    in_reply_to_id: Option<u64>,
    path: String,
    line: Option<u64>,
    start_line: Option<u64>,
    original_line: Option<u64>,
    original_start_line: Option<u64>,
    side: Option<String>,
    subject_type: Option<String>,
    user: Option<Actor>,
    body: Option<String>,
    created_at: Time,
    updated_at: Time,
    html_url: String,
}

impl ReviewCommentResponse {
    pub(super) fn has_position(&self) -> bool {
        self.line.or(self.original_line).is_some() || self.subject_type.as_deref() == Some("file")
    }
}

impl From<ReviewCommentResponse> for ReviewComment {
    fn from(answer: ReviewCommentResponse) -> Self {
        let lines = match (answer.subject_type.as_deref(), answer.line, answer.original_line) {
            (Some("file"), ..) | (_, None, None) => Lines::File,
            (_, Some(end), _) => Lines::Current { start: answer.start_line, end },
            (_, None, Some(end)) => Lines::Original { start: answer.original_start_line, end },
        };
        Self {
            id: answer.id,
            in_reply_to: answer.in_reply_to_id,
            path: answer.path,
            lines,
            side: if answer.side.as_deref() == Some("LEFT") { Side::Left } else { Side::Right },
            author: answer.user,
            body: answer.body.unwrap_or_default(),
            created_at: answer.created_at,
            updated_at: answer.updated_at,
            url: answer.html_url,
        }
    }
}
