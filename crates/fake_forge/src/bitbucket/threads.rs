//! Routes that resolve a thread on a line, and delete a comment.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Map, Value};

use super::{
    body,
    caller::Caller,
    comments,
    conversation::{One, parse},
    deletions, pull_requests,
    refusal::Refusal,
};
use pullyard_demo_forge::{
    access::{Actor, Need},
    pulls::{self, Touched},
    repositories::Entry,
    reviews::Objection,
    shared::Shared,
};

type Named = (String, String, String, String);

/// Authorizes the caller and finds the thread by its first comment.
async fn asked(
    shared: &Shared,
    caller: Caller,
    (workspace, slug, number, id): Named,
) -> Result<(Actor, Arc<Entry>, u64, u64), Refusal> {
    let (actor, entry) = caller.repository(shared, (&workspace, &slug), Need::PULLS_WRITE).await?;
    let pull = pull_requests::find(shared, &entry, &number).await?.record;
    let id = parse(&id)?;
    let all = comments::of(&pull, None);
    let comment = all.iter().find(|comment| comment.id == id).ok_or_else(Refusal::no_comment)?;
    if comment.parent.is_some() || comment.line.is_none() {
        return Err(Refusal::forbidden("This is no top-level comment on the diff."));
    }
    Ok((actor, entry, pull.number, id))
}

/// Bitbucket requires a JSON object as body, which may be empty.
pub(super) async fn resolve(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(named): One,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry, number, id) = asked(&shared, caller, named).await?;
    body::read::<Map<String, Value>>(&body)?;
    let changed = pulls::touch(&shared, &entry, number, |pull| {
        if pull.resolved.contains_key(&id) {
            return Err(Refusal::conflict("This comment was already resolved."));
        }
        pull.resolved.insert(id, actor.account.clone());
        Ok(())
    });
    match changed.await? {
        Touched::Done((), _) => Ok(Json(comments::resolution(&shared, &actor.account))),
        Touched::Missing => Err(Refusal::no_pull_request()),
    }
}

pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number, id)): One,
) -> Result<StatusCode, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_WRITE).await?;
    let number = pull_requests::find(&shared, &entry, &number).await?.record.number;
    match deletions::delete(&shared, &entry, &actor, (number, parse(&id)?)).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(Objection::Forbidden(_)) => Err(Refusal::forbidden("You do not have permission to delete this comment.")),
        Err(other) => Err(other.into()),
    }
}
