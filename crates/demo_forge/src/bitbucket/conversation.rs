//! The routes of a pull request's comments: reading all of them, writing and rewording those on the whole.
//! Bitbucket takes comments on lines and answers to comments as well; here those are refused, as nobody sends any.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    body::{self, Content},
    caller::Caller,
    comments,
    paging::Paging,
    pull_requests,
    refusal::Refusal,
    repositories::Part,
};
use crate::{access::Need, forge::Shared, notes, record::PullRecord, repositories::Entry};

type One = Path<(String, String, String, String)>;

#[derive(Deserialize)]
struct Sent {
    content: Option<Content>,
    parent: Option<Value>,
    inline: Option<Value>,
}

impl Sent {
    /// What a comment on the whole says.
    fn words(self) -> Result<String, Refusal> {
        for (name, given) in [("parent", self.parent), ("inline", self.inline)] {
            if given.is_some() {
                return Err(Refusal::field(name, "the demo forge takes comments on the whole only"));
            }
        }
        let words = self.content.and_then(|content| content.raw).ok_or_else(|| Refusal::missing("content"))?;
        if words.trim().is_empty() { Err(Refusal::field("content", "This field may not be blank.")) } else { Ok(words) }
    }
}

/// The comment of this id as somebody sees it.
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

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number, id)): One,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_READ).await?;
    let pull = pull_requests::find(&shared, &entry, &number).await?.record;
    told(&shared, &entry, &pull, actor.account.id, parse(&id)?)
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number)): Part,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_WRITE).await?;
    let words = body::read::<Sent>(&body)?.words()?;
    let number = pull_requests::find(&shared, &entry, &number).await?.record.number;
    let (note, pull) = notes::write(&shared, &entry, &actor, number, words).await?;
    let told = told(&shared, &entry, &pull.record, actor.account.id, note.id)?;
    Ok((StatusCode::CREATED, told).into_response())
}

/// Rewords a comment of one's own.
pub(super) async fn edit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((workspace, slug, number, id)): One,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&workspace, &slug), Need::PULLS_WRITE).await?;
    let words = body::read::<Sent>(&body)?.words()?;
    let (pull, id) = (pull_requests::find(&shared, &entry, &number).await?.record, parse(&id)?);
    let viewer = actor.account.id;
    let is_elsewhere = pull.notes.iter().all(|note| note.id != id);
    // It is on a line, or a review's. What they do not see is not there.
    if is_elsewhere && comments::of(&pull, Some(viewer)).iter().any(|comment| comment.id == id) {
        return Err(Refusal::bad_request("the demo forge rewords comments on the whole only"));
    }
    let (_, pull) = notes::reword(&shared, &entry, &actor, (pull.number, id), words).await?;
    told(&shared, &entry, &pull.record, viewer, id)
}

fn parse(id: &str) -> Result<u64, Refusal> {
    id.parse().map_err(|_| Refusal::no_comment())
}
