//! Renders reviews and comments on lines.

use serde_json::{Value, json};

use super::{ASSOCIATION, account, link, pulls::reactions};
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
    let full_name = entry.full_name();
    let pull = format!("{}/api/v3/repos/{full_name}/pulls/{number}", shared.url);
    let html_url = format!("{}/{full_name}/pull/{number}#pullrequestreview-{}", shared.url, review.id);
    json!({
        "id": review.id,
        "node_id": format!("PRR_{}", review.id),
        "user": account(shared, &review.author),
        "body": review.body,
        "state": state(review.state),
        "html_url": html_url,
        "pull_request_url": pull,
        "_links": { "html": link(&html_url), "pull_request": link(&pull) },
        "commit_id": review.commit,
        "author_association": ASSOCIATION,
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

/// `diff_hunk` and the positions have no meaning, because no client of this forge reads them.
pub fn line_comment(shared: &Shared, entry: &RepositoryEntry, number: u64, comment: &LineCommentRecord) -> Value {
    let full_name = entry.full_name();
    let repo = format!("{}/api/v3/repos/{full_name}", shared.url);
    let pull = format!("{repo}/pulls/{number}");
    let url = format!("{repo}/pulls/comments/{}", comment.id);
    let html_url = format!("{}/{full_name}/pull/{number}#discussion_r{}", shared.url, comment.id);
    let mut answer = json!({
        "id": comment.id,
        "node_id": format!("PRRC_{}", comment.id),
        "url": url,
        "html_url": html_url,
        "pull_request_url": pull,
        "_links": { "self": link(&url), "html": link(&html_url), "pull_request": link(&pull) },
        "pull_request_review_id": comment.review,
        "user": account(shared, &comment.author),
        "author_association": ASSOCIATION,
        "body": comment.body,
        "diff_hunk": "",
        "path": comment.path,
        "commit_id": comment.commit,
        "original_commit_id": comment.original_commit,
        "position": 1,
        "original_position": 1,
        "side": "RIGHT",
        "line": comment.line,
        "original_line": comment.original_line,
        "start_line": null,
        "start_side": null,
        "original_start_line": null,
        "subject_type": "line",
        "created_at": clock::truncate_to_seconds(&comment.created_at),
        "updated_at": clock::truncate_to_seconds(&comment.updated_at),
        "reactions": reactions(&url),
    });
    if let Some(first) = comment.in_reply_to {
        answer["in_reply_to_id"] = json!(first);
    }
    answer
}
