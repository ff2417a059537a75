//! Routes that create and list reviews, and list comments on lines.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    body,
    caller::Caller,
    paging::Paging,
    pull_requests::{PullPath, load_pull, parse_number},
    refusal::ApiError,
};
use crate::{
    access::Requirement,
    forge_state::Shared,
    record::{PullRecord, ReviewRecord},
    render,
    reviews::{self, NewComment, NewReview, Verdict},
};

type ReviewPath = Path<(String, String, String, String)>;

fn find_review<'a>(pull: &'a PullRecord, id: &str) -> Result<&'a ReviewRecord, ApiError> {
    let id = parse_number(id)?;
    pull.reviews.iter().find(|review| review.id == id).ok_or_else(ApiError::not_found)
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): PullPath,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (entry, pull) = load_pull(&shared, caller, path).await?;
    let pull = pull.record;
    let items = pull.reviews.iter().map(|review| render::review(&shared, &entry, pull.number, review)).collect();
    Ok(paging.respond(&shared, items))
}

#[derive(Deserialize)]
struct ReviewBody {
    event: String,
    body: Option<String>,
    comments: Option<Vec<NewComment>>,
    commit_id: Option<String>,
}

/// Without GitHub's pending reviews: `event` is required.
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): PullPath,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_WRITE).await?;
    let ReviewBody { event, body, comments, commit_id: head } = body::parse(&body)?;
    body::check_lengths(None, body.as_deref())?;
    let comments = comments.unwrap_or_default();
    for comment in &comments {
        body::check_lengths(None, Some(&comment.body))?;
    }
    let verdict = Verdict::parse(&event).ok_or_else(|| ApiError::unprocessable("event is unknown"))?;
    let new = NewReview { verdict, body: body.unwrap_or_default(), comments, head, key: body::find_key(&headers) };
    let number = parse_number(&number)?;
    let (review, _) = reviews::create_review(&shared, &entry, &actor, number, new).await?;
    Ok(Json(render::review(&shared, &entry, number, &review)))
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, id)): ReviewPath,
) -> Result<Json<Value>, ApiError> {
    let (entry, pull) = load_pull(&shared, caller, (owner, name, number)).await?;
    let review = find_review(&pull.record, &id)?;
    Ok(Json(render::review(&shared, &entry, pull.record.number, review)))
}

/// Omits `line` of outdated comments; the pull request's list has null instead.
pub(crate) async fn list_review_comments(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, id)): ReviewPath,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (entry, pull) = load_pull(&shared, caller, (owner, name, number)).await?;
    let pull = pull.record;
    let review = find_review(&pull, &id)?.id;
    let mut items = Vec::new();
    for comment in pull.comments.iter().filter(|comment| comment.review == review) {
        let mut body = render::line_comment(&shared, &entry, pull.number, comment);
        if let (None, Some(fields)) = (comment.line, body.as_object_mut()) {
            fields.remove("line");
        }
        items.push(body);
    }
    Ok(paging.respond(&shared, items))
}

pub(crate) async fn comments(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(path): PullPath,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (entry, pull) = load_pull(&shared, caller, path).await?;
    let pull = pull.record;
    let render = |comment| render::line_comment(&shared, &entry, pull.number, comment);
    Ok(paging.respond(&shared, pull.comments.iter().map(render).collect()))
}
