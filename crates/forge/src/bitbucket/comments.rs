//! Lists, creates and edits comments of Bitbucket pull requests, and finds the thread of each comment.
//! Bitbucket lists comments on lines and on the whole pull request together; `threads` and `reviews` share that list.

use std::collections::HashMap;

use reqwest::{Method, Url};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{
    Bitbucket,
    responses::{AccountResponse, PageLinkResponse},
};
use crate::{Comment, Error, Listing, Time, http_client::RetryPolicy};

const PER_PAGE: &str = "100";

#[derive(Deserialize)]
pub(crate) struct CommentResponse {
    pub(super) id: u64,
    pub(super) created_on: Time,
    pub(super) updated_on: Option<Time>,
    content: Option<ContentResponse>,
    pub(super) user: Option<AccountResponse>,
    /// Deleted comments with replies are still listed.
    #[serde(default)]
    deleted: bool,
    /// Part of an unsubmitted review; visible only to its author.
    #[serde(default)]
    pending: bool,
    parent: Option<ParentResponse>,
    /// Position on a line or a file; `None` for a comment on the whole pull request.
    inline: Option<InlineResponse>,
    resolution: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) links: PageLinkResponse,
}

#[derive(Deserialize)]
struct ContentResponse {
    raw: Option<String>,
}

#[derive(Deserialize)]
struct ParentResponse {
    id: u64,
}

#[derive(Clone, Deserialize)]
pub(super) struct InlineResponse {
    #[serde(default)]
    pub(super) path: String,
    /// The only or last line before the change.
    pub(super) from: Option<u64>,
    pub(super) to: Option<u64>,
    pub(super) start_from: Option<u64>,
    pub(super) start_to: Option<u64>,
    pub(super) outdated: Option<bool>,
}

impl CommentResponse {
    pub(crate) fn is_visible(&self) -> bool {
        !self.deleted && !self.pending
    }

    pub(super) fn text(&self) -> &str {
        self.content.as_ref().and_then(|content| content.raw.as_deref()).unwrap_or_default()
    }
}

impl From<CommentResponse> for Comment {
    fn from(response: CommentResponse) -> Self {
        Self {
            id: response.id,
            body: response.text().to_owned(),
            author: response.user.as_ref().and_then(AccountResponse::actor),
            created_at: response.created_on,
            reactions: 0,
        }
    }
}

pub(super) struct ThreadStart {
    pub(super) id: u64,
    pub(super) inline: Option<InlineResponse>,
    pub(super) resolved: bool,
}

/// Maps each comment's id to the first comment of its thread.
/// The parent of a reply may be a reply, and a reply may omit the position.
pub(super) fn thread_starts(all: &[CommentResponse]) -> HashMap<u64, ThreadStart> {
    let by_id: HashMap<u64, &CommentResponse> = all.iter().map(|comment| (comment.id, comment)).collect();
    let start_of = |comment: &CommentResponse| {
        let (mut id, mut inline) = (comment.id, comment.inline.as_ref());
        let (mut resolved, mut parent) = (comment.resolution.is_some(), comment.parent.as_ref());
        // The number of comments limits the loop in case parents form a cycle.
        for _ in all {
            let Some(reference) = parent else { break };
            // A parent that is no longer listed still identifies the thread. The position then comes from its reply.
            id = reference.id;
            let parent_comment = by_id.get(&id).copied();
            inline = parent_comment.and_then(|parent_comment| parent_comment.inline.as_ref()).or(inline);
            resolved |= parent_comment.is_some_and(|parent_comment| parent_comment.resolution.is_some());
            parent = parent_comment.and_then(|parent_comment| parent_comment.parent.as_ref());
        }
        ThreadStart { id, inline: inline.cloned(), resolved }
    };
    all.iter().map(|comment| (comment.id, start_of(comment))).collect()
}

impl Bitbucket {
    /// Lists all comments, oldest first.
    /// Source: `GET /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/comments`.
    pub(super) async fn all_comments(&self, full_name: &str, number: u64) -> Result<Listing<CommentResponse>, Error> {
        let address = self.comments_url(full_name, number)?;
        let subject = format!("the comments of pull request {number} of {full_name}");
        self.client.list(address, &subject, PER_PAGE).await
    }

    pub async fn issue_comments(&self, full_name: &str, number: u64) -> Result<Listing<Comment>, Error> {
        let all = self.all_comments(full_name, number).await?;
        let starts = thread_starts(&all.items);
        let is_issue_comment = |comment: &CommentResponse| {
            let has_position = starts.get(&comment.id).is_some_and(|start| start.inline.is_some());
            comment.is_visible() && !has_position
        };
        Ok(all.filter_map(|comment| is_issue_comment(&comment).then(|| comment.into())))
    }

    pub async fn create_comment(&self, full_name: &str, number: u64, body: &str) -> Result<Comment, Error> {
        let address = self.comments_url(full_name, number)?;
        let subject = format!("pull request {number} of {full_name}");
        let response: CommentResponse = self.client.post(address, &subject, &comment_body(body)).await?;
        Ok(response.into())
    }

    pub async fn edit_comment(&self, full_name: &str, number: u64, comment: u64, body: &str) -> Result<Comment, Error> {
        let segments = ["pullrequests", &number.to_string(), "comments", &comment.to_string()];
        let address = self.url(full_name, &segments)?;
        let subject = format!("comment {comment} of pull request {number} of {full_name}");
        let response: CommentResponse =
            self.client.send(Method::PUT, address, &subject, &comment_body(body), RetryPolicy::Retry).await?;
        // Bitbucket returns deleted comments and accepts edits of them.
        match response.deleted {
            true => Err(Error::NotFound { resource: subject, message: "it was deleted".to_owned() }),
            false => Ok(response.into()),
        }
    }

    pub(super) fn comments_url(&self, full_name: &str, number: u64) -> Result<Url, Error> {
        self.url(full_name, &["pullrequests", &number.to_string(), "comments"])
    }
}

pub(super) fn comment_body(text: &str) -> Value {
    json!({ "content": { "raw": text } })
}
