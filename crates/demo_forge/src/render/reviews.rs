//! Renders reviews and comments on lines.

use serde_json::{Value, json};

use super::{account, pulls::html_url};
use crate::{
    clock,
    forge_state::Shared,
    record::{LineCommentRecord, ReviewRecord, ReviewState},
    repositories::RepositoryEntry,
};

fn state(state: ReviewState) -> &'static str {
    match state {
        ReviewState::Commented => "COMMENTED",
        ReviewState::ChangesRequested => "CHANGES_REQUESTED",
        ReviewState::Approved => "APPROVED",
        ReviewState::Dismissed => "DISMISSED",
    }
}

pub fn review(shared: &Shared, entry: &RepositoryEntry, number: u64, review: &ReviewRecord) -> Value {
    json!({
        "id": review.id,
        "user": account(shared, &review.author),
        "body": review.body,
        "state": state(review.state),
        "html_url": format!("{}#pullrequestreview-{}", html_url(shared, entry, number), review.id),
        "commit_id": review.commit,
        "submitted_at": clock::truncate_to_seconds(&review.submitted_at),
    })
}

/// Differs from the REST form: the state is lower case, and an empty summary is null.
pub fn review_in_webhook(shared: &Shared, entry: &RepositoryEntry, number: u64, record: &ReviewRecord) -> Value {
    let mut answer = review(shared, entry, number, record);
    answer["state"] = json!(state(record.state).to_ascii_lowercase());
    answer["updated_at"] = json!(clock::truncate_to_seconds(&record.updated_at));
    if record.body.is_empty() {
        answer["body"] = Value::Null;
    }
    answer
}

pub fn line_comment(shared: &Shared, entry: &RepositoryEntry, number: u64, comment: &LineCommentRecord) -> Value {
    let mut body = json!({
        "id": comment.id,
        "html_url": format!("{}#discussion_r{}", html_url(shared, entry, number), comment.id),
        "pull_request_review_id": comment.review,
        "user": account(shared, &comment.author),
        "body": comment.body,
        "path": comment.path,
        "commit_id": comment.commit,
        "original_commit_id": comment.original_commit,
        "side": "RIGHT",
        "line": comment.line,
        "original_line": comment.original_line,
        "subject_type": "line",
        "created_at": clock::truncate_to_seconds(&comment.created_at),
        "updated_at": clock::truncate_to_seconds(&comment.updated_at),
    });
    if let Some(first) = comment.in_reply_to {
        body["in_reply_to_id"] = json!(first);
    }
    body
}
