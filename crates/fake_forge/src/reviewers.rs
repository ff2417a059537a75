//! GitHub's calls by which reviewers edit and dismiss reviews. Pullyard's client does not call them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use pullyard_local_forge::access::{Actor, Requirement};
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::record::{Pull, ReviewRecord, ReviewState};
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::rest::body::{self, TextBody};
use pullyard_local_forge::rest::caller::Caller;
use pullyard_local_forge::rest::refusal::ApiError;
use pullyard_local_forge::reviews::Rejection;
use pullyard_local_forge::role::Role;
use pullyard_local_forge::{events, pulls, render};
use serde_json::{Value, json};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/users/{login}", get(account))
        .route("/repos/{owner}/{name}/pulls/{number}/reviews/{id}", put(edit))
        .route("/repos/{owner}/{name}/pulls/{number}/reviews/{id}/dismissals", put(dismiss))
}

async fn account(
    State(shared): State<Arc<Shared>>,
    _caller: Caller,
    Path(login): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let member = shared.users.by_login(&login).ok_or_else(ApiError::not_found)?;
    Ok(Json(render::account(&shared, &member.account())))
}

async fn edit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, id)): Path<(String, String, u64, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), Requirement::PULLS_WRITE).await?;
    let TextBody { body } = body::parse(&body)?;
    let review = edit_review(&shared, &entry, &actor, (number, id), body).await?;
    Ok(Json(render::review(&shared, &entry, number, &review)))
}

pub(crate) async fn edit_review(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    (number, id): (u64, u64),
    body: String,
) -> Result<ReviewRecord, Rejection> {
    let changed = pulls::update_record(shared, entry, number, |pull| {
        let review = pull.reviews.iter_mut().find(|review| review.id == id).ok_or(Rejection::NotFound)?;
        if review.author.id != actor.account.id {
            return Err(Rejection::Forbidden("You can only change your own reviews"));
        }
        let before = std::mem::replace(&mut review.body, body);
        review.updated_at = shared.clock.now_unique();
        Ok((review.clone(), before))
    });
    let ((review, before), pull) = changed.await?.ok_or(Rejection::NotFound)?;
    let more = json!({ "changes": { "body": { "from": before } } });
    events::publish_review(shared, entry, actor, &pull, &review, ("edited", more)).await;
    Ok(review)
}

async fn dismiss(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, id)): Path<(String, String, u64, u64)>,
) -> Result<Json<Value>, ApiError> {
    let need = Requirement { role: Role::Write, ..Requirement::PULLS_WRITE };
    let (actor, entry) = caller.authorize(&shared, (&owner, &name), need).await?;
    let (review, pull) = dismiss_review(&shared, &entry, (number, id)).await?;
    events::publish_review(&shared, &entry, &actor, &pull, &review, ("dismissed", json!({}))).await;
    Ok(Json(render::review(&shared, &entry, number, &review)))
}

async fn dismiss_review(
    shared: &Shared,
    entry: &RepositoryEntry,
    (number, id): (u64, u64),
) -> Result<(ReviewRecord, Box<Pull>), Rejection> {
    let changed = pulls::update_record(shared, entry, number, |pull| {
        let review = pull.reviews.iter_mut().find(|review| review.id == id).ok_or(Rejection::NotFound)?;
        if matches!(review.state, ReviewState::Commented | ReviewState::Dismissed) {
            let state = review.state.name();
            return Err(Rejection::Unprocessable(format!("Can not dismiss a {state} pull request review")));
        }
        review.dismiss(shared.clock.now_unique());
        Ok(review.clone())
    });
    changed.await?.ok_or(Rejection::NotFound)
}
