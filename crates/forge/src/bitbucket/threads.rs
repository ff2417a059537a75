//! Derives review comments and threads from Bitbucket's comments on lines and files, and replies to threads.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::json;

use super::{
    Bitbucket,
    comments::{CommentResponse, InlineResponse, ThreadStart, comment_body, thread_starts},
    responses::AccountResponse,
};
use crate::{Error, Lines, Listing, ReviewComment, Side, Thread};

impl InlineResponse {
    fn position(&self) -> (Side, Lines) {
        let (side, start, end) = match (self.to, self.from) {
            (Some(to), _) => (Side::Right, self.start_to, to),
            (None, Some(from)) => (Side::Left, self.start_from, from),
            (None, None) => return (Side::Right, Lines::File),
        };
        // One line is no range, as in GitHub's answers.
        let start = start.filter(|start| *start < end);
        match self.outdated == Some(true) {
            true => (side, Lines::Original { start, end }),
            false => (side, Lines::Current { start, end }),
        }
    }
}

impl CommentResponse {
    fn to_review_comment(&self, thread: u64, inline: &InlineResponse) -> ReviewComment {
        let (side, lines) = inline.position();
        ReviewComment {
            id: self.id,
            in_reply_to: (thread != self.id).then_some(thread),
            path: inline.path.clone(),
            lines,
            side,
            author: self.user.as_ref().and_then(AccountResponse::actor),
            body: self.text().to_owned(),
            created_at: self.created_on,
            updated_at: self.updated_on.unwrap_or(self.created_on),
            url: self.links.url(),
        }
    }
}

/// The visible comments on lines and files that match a filter.
pub(super) fn line_comments(
    all: &[CommentResponse],
    is_included: impl Fn(&CommentResponse, &ThreadStart) -> bool,
) -> Vec<ReviewComment> {
    let starts = thread_starts(all);
    let convert = |comment: &CommentResponse| {
        let start = starts.get(&comment.id)?;
        let inline = start.inline.as_ref()?;
        is_included(comment, start).then(|| comment.to_review_comment(start.id, inline))
    };
    all.iter().filter(|comment| comment.is_visible()).filter_map(convert).collect()
}

fn threads(all: &[CommentResponse], thread_id: impl Fn(u64) -> String) -> Vec<Thread> {
    let starts = thread_starts(all);
    let mut threads: BTreeMap<u64, Thread> = BTreeMap::new();
    for comment in all.iter().filter(|comment| comment.is_visible()) {
        let Some(ThreadStart { id, inline: Some(_), resolved }) = starts.get(&comment.id) else { continue };
        let thread = threads.entry(*id).or_insert_with(|| Thread {
            // Reply to the first existing comment: Bitbucket does not document replies to a deleted one.
            id: thread_id(comment.id),
            resolved: *resolved,
            // The first comment identifies the thread in `ReviewComment::in_reply_to`, even if it was deleted.
            comments: vec![*id],
        });
        if comment.id != *id {
            thread.comments.push(comment.id);
        }
    }
    threads.into_values().collect()
}

impl Bitbucket {
    pub async fn comments(&self, full_name: &str, number: u64) -> Result<Listing<ReviewComment>, Error> {
        let Listing { items, truncated } = self.all_comments(full_name, number).await?;
        Ok(Listing { items: line_comments(&items, |_, _| true), truncated })
    }

    pub async fn threads(&self, full_name: &str, number: u64) -> Result<Listing<Thread>, Error> {
        let Listing { items, truncated } = self.all_comments(full_name, number).await?;
        let thread_id = |comment: u64| format!("{full_name}/{number}/{comment}");
        Ok(Listing { items: threads(&items, thread_id), truncated })
    }

    /// `thread` is a [`Thread::id`]: `WORKSPACE/SLUG/PULL-REQUEST/FIRST-VISIBLE-COMMENT`.
    /// Source: `POST /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/comments`.
    pub async fn reply(&self, thread: &str, body: &str) -> Result<(), Error> {
        let parts = || {
            let (rest, comment) = thread.rsplit_once('/')?;
            let (full_name, number) = rest.rsplit_once('/')?;
            Some((full_name, number.parse::<u64>().ok()?, comment.parse::<u64>().ok()?))
        };
        let missing =
            || Error::NotFound { resource: "the thread".to_owned(), message: "no thread has this id".to_owned() };
        let (full_name, number, comment) = parts().ok_or_else(missing)?;
        let mut request = comment_body(body);
        request["parent"] = json!({ "id": comment });
        let address = self.comments_url(full_name, number)?;
        self.client.post::<IgnoredAny>(address, "the thread", &request).await?;
        Ok(())
    }
}
