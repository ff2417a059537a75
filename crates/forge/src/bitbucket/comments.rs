//! Comments of a pull request, which are all in one list: those below it, those on lines, and the threads that these
//! make.

use std::collections::{BTreeMap, HashMap};

use reqwest::Method;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use super::{
    Bitbucket,
    answers::{AccountAnswer, PageLinkAnswer},
};
use crate::{
    Comment, Error, Lines, Listed, Reply, ReviewComment, Side, Thread, Time, call::Tries, names::RepositoryName,
};

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
    inline: Option<InlineAnswer>,
    resolution: Option<IgnoredAny>,
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

#[derive(Clone, Deserialize)]
struct InlineAnswer {
    path: String,
    /// The only or last line of what was there before.
    from: Option<u64>,
    /// The only or last line of what is there now.
    to: Option<u64>,
    start_from: Option<u64>,
    start_to: Option<u64>,
    outdated: Option<bool>,
}

impl InlineAnswer {
    fn is_outdated(&self) -> bool {
        self.outdated == Some(true)
    }

    fn place(&self) -> (Side, Lines) {
        let (side, start, end) = match (self.to, self.from) {
            (Some(to), _) => (Side::Right, self.start_to, to),
            (None, Some(from)) => (Side::Left, self.start_from, from),
            (None, None) => return (Side::Right, Lines::File),
        };
        let start = start.filter(|start| *start < end);
        match self.is_outdated() {
            true => (side, Lines::Original { start, end }),
            false => (side, Lines::Current { start, end }),
        }
    }
}

impl CommentAnswer {
    /// Whether there is something of it to read.
    fn is_there(&self) -> bool {
        !self.deleted && !self.pending
    }

    fn body(content: Option<ContentAnswer>) -> String {
        content.and_then(|content| content.raw).unwrap_or_default()
    }

    fn on_a_line(self, thread: u64, inline: &InlineAnswer) -> ReviewComment {
        let (side, lines) = inline.place();
        ReviewComment {
            id: self.id,
            review: None,
            in_reply_to: (thread != self.id).then_some(thread),
            path: inline.path.clone(),
            lines,
            side,
            author: self.user.and_then(|user| user.actor()),
            body: Self::body(self.content),
            created_at: self.created_on,
            updated_at: self.updated_on.unwrap_or(self.created_on),
            url: self.links.url(),
            // Which commit it was written on is not told.
            commit: String::new(),
            original_commit: String::new(),
        }
    }
}

impl From<CommentAnswer> for Comment {
    fn from(answer: CommentAnswer) -> Self {
        Self {
            id: answer.id,
            body: CommentAnswer::body(answer.content),
            author: answer.user.and_then(|user| user.actor()),
            created_at: answer.created_on,
            updated_at: answer.updated_on.unwrap_or(answer.created_on),
            url: answer.links.url(),
        }
    }
}

/// Which comment a thread begins with, and what is known of it.
struct Beginning {
    id: u64,
    /// Where it is, unless it is below the pull request.
    inline: Option<InlineAnswer>,
    resolved: bool,
}

/// Of each comment: an answer may answer an answer, and need not say where it is.
fn beginnings(all: &[CommentAnswer]) -> HashMap<u64, Beginning> {
    let by_id: HashMap<u64, &CommentAnswer> = all.iter().map(|comment| (comment.id, comment)).collect();
    let parent = |id: u64| by_id.get(&id).and_then(|comment| comment.parent.as_ref()).map(|parent| parent.id);
    let mut found = HashMap::new();
    for comment in all {
        let mut id = comment.id;
        // No further than there are comments: what leads in circles ends.
        for _ in all {
            let Some(next) = parent(id) else { break };
            id = next;
        }
        let first = by_id.get(&id);
        let inline = first.and_then(|first| first.inline.as_ref()).or(comment.inline.as_ref()).cloned();
        let resolved = first.is_some_and(|first| first.resolution.is_some());
        found.insert(comment.id, Beginning { id, inline, resolved });
    }
    found
}

/// Those that are on lines.
fn on_lines(all: Vec<CommentAnswer>) -> Vec<ReviewComment> {
    let beginnings = beginnings(&all);
    let read = |comment: CommentAnswer| {
        let beginning = beginnings.get(&comment.id)?;
        let inline = beginning.inline.as_ref()?;
        Some(comment.on_a_line(beginning.id, inline))
    };
    all.into_iter().filter(CommentAnswer::is_there).filter_map(read).collect()
}

/// Those that are below the pull request.
fn below(all: Vec<CommentAnswer>) -> Vec<Comment> {
    let beginnings = beginnings(&all);
    let is_below =
        |comment: &CommentAnswer| beginnings.get(&comment.id).is_none_or(|beginning| beginning.inline.is_none());
    all.into_iter().filter(|comment| comment.is_there() && is_below(comment)).map(Comment::from).collect()
}

/// What those on lines make.
fn threads(all: &[CommentAnswer], name_of: impl Fn(u64) -> String, more: bool) -> Vec<Thread> {
    let beginnings = beginnings(all);
    // In the order of their ids, which is that of their first comments.
    let mut found: BTreeMap<u64, Thread> = BTreeMap::new();
    for comment in all.iter().filter(|comment| comment.is_there()) {
        let Some(Beginning { id, inline: Some(inline), resolved }) = beginnings.get(&comment.id) else { continue };
        let thread = found.entry(*id).or_insert_with(|| Thread {
            id: name_of(*id),
            resolved: *resolved,
            outdated: inline.is_outdated(),
            path: inline.path.clone(),
            line: inline.to.filter(|_| !inline.is_outdated()),
            comments: Vec::new(),
            more_comments: more,
        });
        thread.comments.push(comment.id);
    }
    found.into_values().collect()
}

impl Bitbucket {
    /// Bitbucket's `GET /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/comments`, oldest first.
    async fn all_comments(&self, full_name: &str, number: u64) -> Result<Listed<CommentAnswer>, Error> {
        let repository = RepositoryName::parse(full_name)?;
        let address = self.address(repository, &["pullrequests", &number.to_string(), "comments"]);
        self.client.list(address, &format!("the comments of pull request {number} of {full_name}")).await
    }

    /// See [`Forge::comments`](crate::Forge::comments).
    pub async fn comments(&self, full_name: &str, number: u64) -> Result<Listed<ReviewComment>, Error> {
        let Listed { found, more } = self.all_comments(full_name, number).await?;
        Ok(Listed { found: on_lines(found), more })
    }

    /// See [`Forge::threads`](crate::Forge::threads).
    pub async fn threads(&self, full_name: &str, number: u64) -> Result<Listed<Thread>, Error> {
        let Listed { found, more } = self.all_comments(full_name, number).await?;
        let name_of = |comment: u64| format!("{full_name}/{number}/{comment}");
        Ok(Listed { found: threads(&found, name_of, more), more })
    }

    /// See [`Forge::reply`](crate::Forge::reply). A thread is `WORKSPACE/SLUG/PULL-REQUEST/FIRST-COMMENT`.
    /// Bitbucket's `POST /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/comments`.
    pub async fn reply(&self, thread: &str, body: &str) -> Result<Reply, Error> {
        let parts = || {
            let (rest, comment) = thread.rsplit_once('/')?;
            let (full_name, number) = rest.rsplit_once('/')?;
            Some((full_name, number.parse::<u64>().ok()?, comment.parse::<u64>().ok()?))
        };
        let missing =
            || Error::NotFound { what: "the thread".to_owned(), message: "no thread is called so".to_owned() };
        let (full_name, number, comment) = parts().ok_or_else(missing)?;
        let answer = self.write(full_name, number, "the thread", body, Some(comment)).await?;
        Ok(Reply { id: answer.id, url: answer.links.url() })
    }

    /// See [`Forge::issue_comments`](crate::Forge::issue_comments).
    pub async fn issue_comments(&self, full_name: &str, number: u64) -> Result<Listed<Comment>, Error> {
        let Listed { found, more } = self.all_comments(full_name, number).await?;
        Ok(Listed { found: below(found), more })
    }

    /// See [`Forge::create_comment`](crate::Forge::create_comment).
    /// Bitbucket's `POST /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/comments`.
    pub async fn create_comment(&self, full_name: &str, number: u64, body: &str) -> Result<Comment, Error> {
        let what = format!("pull request {number} of {full_name}");
        Ok(self.write(full_name, number, &what, body, None).await?.into())
    }

    async fn write(
        &self,
        full_name: &str,
        number: u64,
        what: &str,
        text: &str,
        answers: Option<u64>,
    ) -> Result<CommentAnswer, Error> {
        let repository = RepositoryName::parse(full_name)?;
        let address = self.address(repository, &["pullrequests", &number.to_string(), "comments"]);
        let mut body = json!({ "content": { "raw": text } });
        if let Some(comment) = answers {
            body["parent"] = json!({ "id": comment });
        }
        self.client.post(address, what, &body).await
    }

    /// See [`Forge::edit_comment`](crate::Forge::edit_comment).
    /// Bitbucket's `PUT /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/comments/{comment_id}`.
    pub async fn edit_comment(&self, full_name: &str, number: u64, comment: u64, body: &str) -> Result<Comment, Error> {
        let repository = RepositoryName::parse(full_name)?;
        let segments = ["pullrequests", &number.to_string(), "comments", &comment.to_string()];
        let address = self.address(repository, &segments);
        let what = format!("comment {comment} of pull request {number} of {full_name}");
        let body = json!({ "content": { "raw": body } });
        let answer: CommentAnswer = self.client.send(Method::PUT, address, &what, &body, Tries::Three).await?;
        // What was deleted is still found, and stays so.
        match answer.deleted {
            true => Err(Error::NotFound { what, message: "it was deleted".to_owned() }),
            false => Ok(answer.into()),
        }
    }
}
