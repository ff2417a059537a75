//! Reads, creates and edits comments on a whole pull request.

use reqwest::Method;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::json;

use super::{GitHub, client::RetryPolicy, open_items::ReactionsResponse};
use crate::{Actor, Comment, Error, Listing, Time};

#[derive(Deserialize)]
pub(super) struct CommentResponse {
    id: u64,
    body: Option<String>,
    user: Option<Actor>,
    created_at: Time,
    #[serde(default)]
    reactions: ReactionsResponse,
}

impl From<CommentResponse> for Comment {
    fn from(answer: CommentResponse) -> Self {
        Self {
            id: answer.id,
            body: answer.body.unwrap_or_default(),
            author: answer.user,
            created_at: answer.created_at,
            reactions: answer.reactions.total_count,
        }
    }
}

impl<'de> Deserialize<'de> for Comment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        CommentResponse::deserialize(deserializer).map(Self::from)
    }
}

impl GitHub {
    /// Source: `GET /repos/{owner}/{repo}/issues/{issue_number}/comments`.
    pub async fn issue_comments(&self, full_name: &str, number: u64) -> Result<Listing<Comment>, Error> {
        let address = self.url(full_name, &["issues", &number.to_string(), "comments"])?;
        let subject = format!("the comments of {number} of {full_name}");
        self.client.list(address, &subject).await
    }

    /// Source: `POST /repos/{owner}/{repo}/issues/{issue_number}/comments`.
    pub async fn create_comment(&self, full_name: &str, number: u64, body: &str) -> Result<Comment, Error> {
        let address = self.url(full_name, &["issues", &number.to_string(), "comments"])?;
        let subject = format!("{number} of {full_name}");
        self.client.post(address, &subject, &json!({ "body": body })).await
    }

    /// Source: `POST /repos/{owner}/{repo}/issues/{issue_number}/comments`.
    pub async fn create_comment_once(&self, full_name: &str, number: u64, body: &str, key: &str) -> Result<(), Error> {
        let address = self.url(full_name, &["issues", &number.to_string(), "comments"])?;
        let subject = format!("{number} of {full_name}");
        self.client.with_key(key)?.post::<IgnoredAny>(address, &subject, &json!({ "body": body })).await.map(drop)
    }

    /// Source: `PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}`.
    pub async fn edit_comment(
        &self,
        full_name: &str,
        _number: u64,
        comment: u64,
        body: &str,
    ) -> Result<Comment, Error> {
        let address = self.url(full_name, &["issues", "comments", &comment.to_string()])?;
        let subject = format!("comment {comment} of {full_name}");
        let body = json!({ "body": body });
        self.client.send(Method::PATCH, address, &subject, &body, RetryPolicy::Retry).await
    }
}
