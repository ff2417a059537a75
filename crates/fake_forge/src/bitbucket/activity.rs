//! Lists the activity of a pull request, newest first: opened, closed, comments, approvals and change requests.
//! Withdrawn verdicts stay listed. Pushes and edits are missing, because the forge stores no history of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::answers::{account, time};
use super::caller::Caller;
use super::paging::Paging;
use super::refusal::Refusal;
use super::repositories::ItemPath;
use super::{comments, pull_answers, pull_request_filter, pull_requests};
use pullyard_local_forge::access::Requirement;
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::record::{Pull, ReviewState};
use pullyard_local_forge::repositories::RepositoryEntry;

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): ItemPath,
    paging: Paging,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::PULLS_READ).await?;
    let pull = pull_requests::find(&entry, &number).await?;
    let Json(mut page) = paging.answer(&shared, activity_of(&shared, &entry, &pull));
    // Bitbucket's activity pages have no size and no page number.
    if let Some(fields) = page.as_object_mut() {
        for name in ["size", "page"] {
            fields.remove(name);
        }
    }
    Ok(Json(page))
}

fn activity_of(shared: &Shared, entry: &RepositoryEntry, pull: &Pull) -> Vec<Value> {
    let record = &pull.record;
    let pull_json = comments::short_pull_json(shared, entry, record);
    let pull_in_list = pull_answers::short_pull(shared, entry, pull);
    let update = |at: &str, state: &str| {
        let update = json!({ "date": time(at), "state": state, "source": pull_in_list["source"] });
        (time(at), json!({ "pull_request": pull_json, "update": update }))
    };
    let mut entries = vec![update(&record.created_at, "OPEN")];
    for comment in comments::comments_of(record).iter().filter(|comment| !comment.deleted) {
        let comment_json = comments::comment_json(shared, entry, record, comment);
        entries.push((time(comment.created_at), json!({ "pull_request": pull_json, "comment": comment_json })));
    }
    for review in &record.reviews {
        let (Some(verdict), at) = (review.verdict(), &review.submitted_at) else { continue };
        let name = if verdict == ReviewState::Approved { "approval" } else { "changes_requested" };
        let verdict_json =
            json!({ "date": time(at), "user": account(shared, &review.author), "pullrequest": pull_json });
        entries.push((time(at), json!({ "pull_request": pull_json, name: verdict_json })));
    }
    if let Some(at) = &record.closed_at {
        entries.push(update(at, pull_request_filter::state(record)));
    }
    // `time` returns one format, so the keys sort as text. The sort is stable: a close is newer than comments and
    // verdicts with the same time.
    entries.sort_by_cached_key(|(at, _)| at.clone());
    entries.into_iter().rev().map(|(_, entry)| entry).collect()
}
