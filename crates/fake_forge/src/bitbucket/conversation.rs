//! Routes of a pull request's comments: list, create, and edit.
//! A line comment cannot be edited, although Bitbucket allows it, because no client needs it.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::{
    caller::Caller,
    comments,
    paging::Paging,
    pull_requests,
    refusal::Refusal,
    replies,
    repositories::Part,
    sent::{self, New},
};
use pullyard_demo_forge::{
    access::Need,
    notes,
    record::PullRecord,
    repositories::Entry,
    reviews::{self, Objection},
    shared::Shared,
};

pub(super) type One = Path<(String, String, String, String)>;

fn told(shared: &Shared, entry: &Entry, pull: &PullRecord, viewer: u64, id: u64) -> Result<Json<Value>, Refusal> {
    let all = comments::of(pull, Some(viewer));
    let comment = all.iter().find(|comment| comment.id == id).ok_or_else(Refusal::no_comment)?;
    Ok(Json(comments::shown(shared, entry, pull, comment)))
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): Part,
    paging: Paging,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_READ).await?;
    let pull = pull_requests::find(&shared, &entry, &number).await?.record;
    let all = comments::of(&pull, Some(actor.account.id));
    Ok(paging.answer(&shared, all.iter().map(|comment| comments::shown(&shared, &entry, &pull, comment)).collect()))
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): Part,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_WRITE).await?;
    let new = sent::new(&body)?;
    let pull = pull_requests::find(&shared, &entry, &number).await?;
    let number = pull.record.number;
    let (id, pull) = match new {
        New::OnTheWhole(words) => {
            let (note, pull) = notes::write(&shared, &entry, &actor, number, words).await?;
            (note.id, pull)
        }
        New::OnALine(comment) => {
            let at = (number, pull.head_sha);
            let (comment, pull) = reviews::comment(&shared, &entry, &actor, at, comment).await?;
            (comment.id, pull)
        }
        New::Answer { parent, words } => {
            let answered = replies::to_any(&shared, &entry, &actor, (number, parent), words).await;
            answered.map_err(|objection| match objection {
                Objection::NotFound => Refusal::field("parent", "The comment does not exist."),
                other => other.into(),
            })?
        }
    };
    let told = told(&shared, &entry, &pull.record, actor.account.id, id)?;
    Ok((StatusCode::CREATED, told).into_response())
}

/// Edits the caller's own comment.
pub(super) async fn edit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number, id)): One,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_WRITE).await?;
    let words = sent::reworded(&body)?;
    let (pull, id) = (pull_requests::find(&shared, &entry, &number).await?.record, parse(&id)?);
    let viewer = actor.account.id;
    // A deleted comment is found and stays deleted.
    if pull.deleted.iter().any(|trace| trace.id == id) {
        return told(&shared, &entry, &pull, viewer, id);
    }
    let (_, pull) = notes::reword(&shared, &entry, &actor, (pull.number, id), words).await?;
    told(&shared, &entry, &pull.record, viewer, id)
}

pub(super) fn parse(id: &str) -> Result<u64, Refusal> {
    id.parse().map_err(|_| Refusal::no_comment())
}
