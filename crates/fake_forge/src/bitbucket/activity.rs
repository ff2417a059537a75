//! The activity of a pull request, newest first: opened, closed, comments, approvals and change requests.
//! Withdrawn verdicts stay listed. Pushes and edits are missing, because the forge stores no history of them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{
    answers::{account, time},
    caller::Caller,
    comments,
    paging::Paging,
    pull_answers, pull_request_filter, pull_requests,
    refusal::Refusal,
    repositories::ItemPath,
};
use pullyard_demo_forge::{
    access::Requirement,
    record::{Pull, ReviewState},
    repositories::RepositoryEntry,
    shared::Shared,
};

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): ItemPath,
    paging: Paging,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::PULLS_READ).await?;
    let pull = pull_requests::find(&shared, &entry, &number).await?;
    let Json(mut page) = paging.answer(&shared, activity_of(&shared, &entry, &pull, actor.account.id));
    // Bitbucket's activity pages have no size and no page number.
    if let Some(fields) = page.as_object_mut() {
        for name in ["size", "page"] {
            fields.remove(name);
        }
    }
    Ok(Json(page))
}

fn activity_of(shared: &Shared, entry: &RepositoryEntry, pull: &Pull, viewer: u64) -> Vec<Value> {
    let record = &pull.record;
    let about = comments::short_pull_json(shared, entry, record);
    let shown = pull_answers::short_pull(shared, entry, pull);
    let update = |at: &str, state: &str| {
        let update = json!({ "date": time(at), "state": state, "source": shown["source"] });
        (time(at), json!({ "pull_request": about, "update": update }))
    };
    let mut all = vec![update(&record.created_at, "OPEN")];
    for comment in comments::comments_of(record, Some(viewer)).iter().filter(|comment| !comment.deleted) {
        let told = comments::comment_json(shared, entry, record, comment);
        all.push((time(comment.created_at), json!({ "pull_request": about, "comment": told })));
    }
    for review in &record.reviews {
        let (Some(verdict), Some(at)) = (review.verdict(), review.submitted_at.as_deref()) else { continue };
        let name = if verdict == ReviewState::Approved { "approval" } else { "changes_requested" };
        let told = json!({ "date": time(at), "user": account(shared, &review.author), "pullrequest": about });
        all.push((time(at), json!({ "pull_request": about, name: told })));
    }
    if let Some(at) = &record.closed_at {
        all.push(update(at, pull_request_filter::state(record)));
    }
    // Times of one format sort as text; the sort is stable for equal times.
    all.sort_by_cached_key(|(at, _)| at.clone());
    all.into_iter().rev().map(|(_, entry)| entry).collect()
}
