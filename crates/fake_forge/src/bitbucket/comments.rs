//! Bitbucket's single list of comments, made of the forge's notes, line comments, review bodies and deleted comments.
//! Bitbucket's reviews have no body, so a review body is a comment on the whole pull request.

use serde_json::{Value, json};

use super::answers::{account, content, link, time};
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::record::{LineCommentRecord, PullRecord, Side};
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::users::Account;

pub(super) struct Comment<'a> {
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) author: &'a Account,
    raw: &'a str,
    pub(super) created_at: &'a str,
    updated_at: &'a str,
    pub(super) line: Option<&'a LineCommentRecord>,
    pub(super) deleted: bool,
}

/// All comments, oldest first.
pub(super) fn comments_of(pull: &PullRecord) -> Vec<Comment<'_>> {
    let notes = pull.notes.iter().map(|note| Comment {
        id: note.id,
        parent: pull.parents.get(&note.id).copied(),
        author: &note.author,
        raw: &note.body,
        created_at: &note.created_at,
        updated_at: &note.updated_at,
        line: None,
        deleted: false,
    });
    let lines = pull.comments.iter().map(|comment| Comment {
        id: comment.id,
        parent: pull.parents.get(&comment.id).copied().or(comment.in_reply_to),
        author: &comment.author,
        raw: &comment.body,
        created_at: &comment.created_at,
        updated_at: &comment.updated_at,
        line: Some(comment),
        deleted: false,
    });
    let reviews = pull.reviews.iter().filter(|review| !review.body.trim().is_empty());
    let summaries = reviews.map(|review| Comment {
        id: review.id,
        parent: None,
        author: &review.author,
        raw: &review.body,
        created_at: &review.submitted_at,
        updated_at: &review.updated_at,
        line: None,
        deleted: false,
    });
    let deleted = pull.deleted.iter().map(|trace| Comment {
        id: trace.id,
        parent: trace.parent,
        author: &trace.author,
        raw: "",
        created_at: &trace.created_at,
        updated_at: &trace.updated_at,
        line: trace.line.as_ref(),
        deleted: true,
    });
    let mut all: Vec<Comment<'_>> = notes.chain(lines).chain(summaries).chain(deleted).collect();
    // Ids rise in the order of creation.
    all.sort_by_key(|comment| comment.id);
    all
}

pub(super) fn page_url(shared: &Shared, entry: &RepositoryEntry, pull: &PullRecord) -> String {
    format!("{}/{}/pull-requests/{}", shared.url, entry.full_name(), pull.number)
}

/// A pull request inside another object.
pub(super) fn short_pull_json(shared: &Shared, entry: &RepositoryEntry, pull: &PullRecord) -> Value {
    let html = link(page_url(shared, entry, pull));
    json!({ "type": "pullrequest", "id": pull.number, "title": pull.title, "links": { "html": html } })
}

pub(super) fn comment_json(
    shared: &Shared,
    entry: &RepositoryEntry,
    pull: &PullRecord,
    comment: &Comment<'_>,
) -> Value {
    let html = page_url(shared, entry, pull);
    let mut response = json!({
        "type": "pullrequest_comment",
        "id": comment.id,
        "user": account(shared, comment.author),
        "content": content(comment.raw),
        "created_on": time(comment.created_at),
        "updated_on": time(comment.updated_at),
        "deleted": comment.deleted,
        "pending": false,
        "pullrequest": short_pull_json(shared, entry, pull),
        "links": { "html": link(format!("{html}#comment-{}", comment.id)) },
    });
    // Bitbucket omits these fields where they have no value.
    if let Some(parent) = comment.parent {
        response["parent"] = json!({ "id": parent });
    }
    if let Some(line) = comment.line {
        response["inline"] = inline(line);
    }
    response
}

/// `to` is a line of the new file, `from` of the old one.
fn inline(comment: &LineCommentRecord) -> Value {
    let line = comment.line.unwrap_or(comment.original_line);
    let of_side = |side| comment.side == side;
    json!({
        "path": comment.path,
        "to": of_side(Side::Right).then_some(line),
        "from": of_side(Side::Left).then_some(line),
        "start_to": comment.start_line.filter(|_| of_side(Side::Right)),
        "start_from": comment.start_line.filter(|_| of_side(Side::Left)),
        "outdated": comment.line.is_none(),
    })
}
