//! Routes of a pull request's comments: list, create, and edit.
//! A line comment cannot be edited, although Bitbucket allows it, because no client needs it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::caller::Caller;
use super::comment_bodies;
use super::comment_bodies::CommentRequest;
use super::paging::Paging;
use super::refusal::Refusal;
use super::repositories::ItemPath;
use super::{comments, pull_requests, replies};
use pullyard_local_forge::access::Requirement;
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::issue_comments::{self, NewNote};
use pullyard_local_forge::record::PullRecord;
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::reviews;
use pullyard_local_forge::reviews::{NewReview, Rejection, Verdict};

pub(super) type CommentPath = Path<(String, String, String, String)>;

fn comment_response(
    shared: &Shared,
    entry: &RepositoryEntry,
    pull: &PullRecord,
    id: u64,
) -> Result<Json<Value>, Refusal> {
    let all = comments::comments_of(pull);
    let comment = all.iter().find(|comment| comment.id == id).ok_or_else(Refusal::no_comment)?;
    Ok(Json(comments::comment_json(shared, entry, pull, comment)))
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): ItemPath,
    paging: Paging,
) -> Result<Json<Value>, Refusal> {
    let (_, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::PULLS_READ).await?;
    let pull = pull_requests::find(&entry, &number).await?.record;
    let all = comments::comments_of(&pull);
    Ok(paging
        .answer(&shared, all.iter().map(|comment| comments::comment_json(&shared, &entry, &pull, comment)).collect()))
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): ItemPath,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::PULLS_WRITE).await?;
    let new = comment_bodies::parse_new_comment(&body)?;
    let pull = pull_requests::find(&entry, &number).await?;
    let number = pull.record.number;
    let (id, pull) = match new {
        CommentRequest::General(text) => {
            let (note, pull) = issue_comments::create(
                &shared,
                &entry,
                &actor,
                NewNote { number, parent: None, body: text, key: None },
            )
            .await?;
            (note.id, pull)
        }
        CommentRequest::OnLine(comment) => {
            let new = NewReview {
                verdict: Verdict::Comment,
                body: String::new(),
                comments: vec![comment],
                head: None,
                key: None,
            };
            let (review, pull) = reviews::create_review(&shared, &entry, &actor, number, new).await?;
            let comment = pull.record.comments.iter().find(|comment| comment.review == review.id);
            (comment.ok_or_else(Refusal::no_comment)?.id, pull)
        }
        CommentRequest::Reply { parent, words: text } => {
            let answered = replies::create_reply(&shared, &entry, &actor, (number, parent), text).await;
            answered.map_err(|objection| match objection {
                Rejection::NotFound => Refusal::field("parent", "The comment does not exist."),
                other => other.into(),
            })?
        }
    };
    let response = comment_response(&shared, &entry, &pull.record, id)?;
    Ok((StatusCode::CREATED, response).into_response())
}

pub(super) async fn edit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number, id)): CommentPath,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Requirement::PULLS_WRITE).await?;
    let text = comment_bodies::parse_edited_text(&body)?;
    let (pull, id) = (pull_requests::find(&entry, &number).await?.record, parse_comment_id(&id)?);
    // A deleted comment is found and stays deleted.
    if pull.deleted.iter().any(|trace| trace.id == id) {
        return comment_response(&shared, &entry, &pull, id);
    }
    let (_, pull) = issue_comments::edit_note(&shared, &entry, &actor, (pull.number, id), text).await?;
    comment_response(&shared, &entry, &pull.record, id)
}

pub(super) fn parse_comment_id(id: &str) -> Result<u64, Refusal> {
    id.parse().map_err(|_| Refusal::no_comment())
}
