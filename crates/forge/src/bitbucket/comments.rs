//! Comments below a pull request. Bitbucket has those on lines in the same list: these are told apart, and not read.

use std::collections::{HashMap, HashSet};

use reqwest::{Method, Url};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{
    Bitbucket,
    answers::{AccountAnswer, PageLinkAnswer},
};
use crate::{Comment, Error, Listed, Time, call::Tries, names::RepositoryName};

#[derive(Deserialize)]
struct CommentAnswer {
    id: u64,
    created_on: Time,
    updated_on: Option<Time>,
    content: Option<ContentAnswer>,
    user: Option<AccountAnswer>,
    /// It is still listed, for those that answered it.
    #[serde(default)]
    deleted: bool,
    /// Part of a review that was not sent yet: only its author sees it.
    #[serde(default)]
    pending: bool,
    parent: Option<ParentAnswer>,
    /// Where it is, if it is on a line or a file.
    inline: Option<IgnoredAny>,
    #[serde(default)]
    links: PageLinkAnswer,
}

#[derive(Deserialize)]
struct ContentAnswer {
    raw: Option<String>,
}

#[derive(Deserialize)]
struct ParentAnswer {
    id: u64,
}

impl CommentAnswer {
    /// Whether there is something of it to read.
    fn is_there(&self) -> bool {
        !self.deleted && !self.pending
    }
}

impl From<CommentAnswer> for Comment {
    fn from(answer: CommentAnswer) -> Self {
        Self {
            id: answer.id,
            body: answer.content.and_then(|content| content.raw).unwrap_or_default(),
            author: answer.user.and_then(|user| user.actor()),
            created_at: answer.created_on,
            updated_at: answer.updated_on.unwrap_or(answer.created_on),
            url: answer.links.url(),
        }
    }
}

/// The ids of those that are on lines: an answer may answer an answer, and need not say where it is.
fn on_lines(all: &[CommentAnswer]) -> HashSet<u64> {
    let by_id: HashMap<u64, &CommentAnswer> = all.iter().map(|comment| (comment.id, comment)).collect();
    let is_on_a_line = |comment: &&CommentAnswer| {
        let mut seen = Some(*comment);
        // No further than there are comments: what leads in circles ends.
        for _ in all {
            match seen {
                Some(CommentAnswer { inline: None, parent: Some(parent), .. }) => seen = by_id.get(&parent.id).copied(),
                _ => break,
            }
        }
        seen.is_some_and(|first| first.inline.is_some())
    };
    all.iter().filter(is_on_a_line).map(|comment| comment.id).collect()
}

impl Bitbucket {
    /// See [`Forge::issue_comments`](crate::Forge::issue_comments).
    /// Bitbucket's `GET /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/comments`.
    pub async fn issue_comments(&self, full_name: &str, number: u64) -> Result<Listed<Comment>, Error> {
        let address = self.comments_address(full_name, number)?;
        let what = format!("the comments of pull request {number} of {full_name}");
        let all: Listed<CommentAnswer> = self.client.list(address, &what).await?;
        let elsewhere = on_lines(&all.found);
        let is_below = |comment: &CommentAnswer| comment.is_there() && !elsewhere.contains(&comment.id);
        Ok(all.filter_map(|comment| is_below(&comment).then(|| comment.into())))
    }

    /// See [`Forge::create_comment`](crate::Forge::create_comment).
    /// Bitbucket's `POST /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/comments`.
    pub async fn create_comment(&self, full_name: &str, number: u64, body: &str) -> Result<Comment, Error> {
        let address = self.comments_address(full_name, number)?;
        let what = format!("pull request {number} of {full_name}");
        let answer: CommentAnswer = self.client.post(address, &what, &written(body)).await?;
        Ok(answer.into())
    }

    /// See [`Forge::edit_comment`](crate::Forge::edit_comment).
    /// Bitbucket's `PUT /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/comments/{comment_id}`.
    pub async fn edit_comment(&self, full_name: &str, number: u64, comment: u64, body: &str) -> Result<Comment, Error> {
        let segments = ["pullrequests", &number.to_string(), "comments", &comment.to_string()];
        let address = self.address(RepositoryName::parse(full_name)?, &segments);
        let what = format!("comment {comment} of pull request {number} of {full_name}");
        let answer: CommentAnswer = self.client.send(Method::PUT, address, &what, &written(body), Tries::Three).await?;
        // What was deleted is still found, and stays so.
        match answer.deleted {
            true => Err(Error::NotFound { what, message: "it was deleted".to_owned() }),
            false => Ok(answer.into()),
        }
    }

    fn comments_address(&self, full_name: &str, number: u64) -> Result<Url, Error> {
        let repository = RepositoryName::parse(full_name)?;
        Ok(self.address(repository, &["pullrequests", &number.to_string(), "comments"]))
    }
}

/// A comment as it is sent.
fn written(text: &str) -> Value {
    json!({ "content": { "raw": text } })
}
