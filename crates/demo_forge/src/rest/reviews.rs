//! Reviews and the comments on lines.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    caller::Caller,
    fields::{self, Fields},
    paging::Paging,
    pull_requests::{Numbered, parse},
    refusal::Refusal,
};
use crate::{
    access::{Actor, Need},
    answers, events,
    forge::Shared,
    pulls::{self, Pull, Touched},
    record::{LineCommentRecord, PullRecord, ReviewRecord, ReviewState, Side},
    repositories::Entry,
    reviews::{self, At, NewComment, NewReview, Verdict},
};

type Reviewed = Path<(String, String, String, String)>;

async fn pull(shared: &Shared, entry: &Entry, number: &str) -> Result<Pull, Refusal> {
    pulls::find(shared, entry, parse(number)?).await?.ok_or_else(Refusal::not_found)
}

/// Only its author sees a pending review.
fn sees(actor: &Actor, review: &ReviewRecord) -> bool {
    review.state != ReviewState::Pending || review.author.id == actor.account.id
}

fn sees_comment(actor: &Actor, pull: &PullRecord, comment: &LineCommentRecord) -> bool {
    pull.reviews.iter().any(|review| review.id == comment.review && review.state != ReviewState::Pending)
        || comment.author.id == actor.account.id
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    paging: Paging,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_READ).await?;
    let pull = pull(&shared, &entry, &number).await?;
    let seen = pull.record.reviews.iter().filter(|review| sees(&actor, review));
    let shown = seen.map(|review| answers::review(&shared, &entry, pull.record.number, review)).collect();
    Ok(paging.answer(&shared, shown))
}

fn verdict(fields: &Fields) -> Result<Option<Verdict>, Refusal> {
    match fields.text("event")?.flatten() {
        None => Ok(None),
        Some(event) if event.is_empty() || event == "PENDING" => Ok(None),
        Some(event) => {
            let known = Verdict::parse(&event);
            known
                .map(Some)
                .ok_or_else(|| Refusal::unprocessable(format!("Variable $event has the invalid value {event}")))
        }
    }
}

fn new_comment(fields: &Fields) -> Result<NewComment, Refusal> {
    let side = match fields.text("side")?.flatten().as_deref() {
        None | Some("RIGHT") => Side::Right,
        Some("LEFT") => Side::Left,
        Some(other) => return Err(Refusal::unprocessable(format!("side {other:?} is neither LEFT nor RIGHT"))),
    };
    let at = match (fields.number("line")?, fields.number("position")?) {
        (Some(line), _) => At::Line(side, line),
        (None, Some(position)) => At::Position(position),
        (None, None) => return Err(Refusal::unprocessable("line or position must be given")),
    };
    let body = fields.required("body")?;
    fields::check_words(None, Some(&body))?;
    Ok(NewComment { path: fields.required("path")?, body, at, start_line: fields.number("start_line")? })
}

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_WRITE).await?;
    let fields = Fields::parse(&body)?;
    let body = fields.text("body")?.flatten().unwrap_or_default();
    fields::check_words(None, Some(&body))?;
    let new = NewReview {
        verdict: verdict(&fields)?,
        body,
        commit: fields.text("commit_id")?.flatten(),
        comments: fields.objects("comments")?.iter().map(new_comment).collect::<Result<_, _>>()?,
    };
    let number = parse(&number)?;
    let (review, _) = reviews::give(&shared, &entry, &actor, number, new).await?;
    Ok(Json(answers::review(&shared, &entry, number, &review)))
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, id)): Reviewed,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_READ).await?;
    let pull = pull(&shared, &entry, &number).await?;
    let id = parse(&id)?;
    let review = pull.record.reviews.iter().find(|review| review.id == id && sees(&actor, review));
    let review = review.ok_or_else(Refusal::not_found)?;
    Ok(Json(answers::review(&shared, &entry, pull.record.number, review)))
}

pub(crate) async fn edit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, id)): Reviewed,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_WRITE).await?;
    let body = Fields::parse(&body)?.required("body")?;
    fields::check_words(None, Some(&body))?;
    let number = parse(&number)?;
    let (review, _) = reviews::edit(&shared, &entry, &actor, (number, parse(&id)?), body).await?;
    Ok(Json(answers::review(&shared, &entry, number, &review)))
}

pub(crate) async fn discard(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, id)): Reviewed,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_WRITE).await?;
    let number = parse(&number)?;
    let (review, _) = reviews::discard(&shared, &entry, &actor, (number, parse(&id)?)).await?;
    Ok(Json(answers::review(&shared, &entry, number, &review)))
}

pub(crate) async fn submit(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, id)): Reviewed,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_WRITE).await?;
    let fields = Fields::parse(&body)?;
    let verdict = verdict(&fields)?.ok_or_else(|| Refusal::unprocessable("event must be given"))?;
    let said = (verdict, fields.text("body")?.flatten());
    let number = parse(&number)?;
    let (review, _) = reviews::submit(&shared, &entry, &actor, (number, parse(&id)?), said).await?;
    Ok(Json(answers::review(&shared, &entry, number, &review)))
}

pub(crate) async fn dismiss(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, id)): Reviewed,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let need = Need { role: crate::access::Role::Write, ..Need::PULLS_WRITE };
    let (actor, entry) = caller.repository(&shared, (&owner, &name), need).await?;
    Fields::parse(&body)?.required("message")?;
    let number = parse(&number)?;
    let (review, _) = reviews::dismiss(&shared, &entry, &actor, (number, parse(&id)?)).await?;
    Ok(Json(answers::review(&shared, &entry, number, &review)))
}

/// Of one review. What is outdated has no `line` here, while the pull request's own list says null.
pub(crate) async fn comments_of(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, id)): Reviewed,
    paging: Paging,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_READ).await?;
    let pull = pull(&shared, &entry, &number).await?.record;
    let id = parse(&id)?;
    let review = pull.reviews.iter().find(|review| review.id == id && sees(&actor, review));
    review.ok_or_else(Refusal::not_found)?;
    let own = pull.comments.iter().filter(|comment| comment.review == id);
    let show = |comment: &LineCommentRecord| {
        let mut shown = answers::line_comment(&shared, &entry, pull.number, comment);
        if let (None, Some(fields)) = (comment.line, shown.as_object_mut()) {
            fields.remove("line");
        }
        shown
    };
    Ok(paging.answer(&shared, own.map(show).collect()))
}

pub(crate) async fn comments(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    paging: Paging,
) -> Result<Response, Refusal> {
    let (_, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_READ).await?;
    let pull = pull(&shared, &entry, &number).await?.record;
    let pending = |comment: &LineCommentRecord| {
        pull.reviews.iter().any(|review| review.id == comment.review && review.state == ReviewState::Pending)
    };
    let public = pull.comments.iter().filter(|comment| !pending(comment));
    let shown = public.map(|comment| answers::line_comment(&shared, &entry, pull.number, comment)).collect();
    Ok(paging.answer(&shared, shown))
}

/// One comment, or an answer to one.
pub(crate) async fn comment(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number)): Numbered,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_WRITE).await?;
    let fields = Fields::parse(&body)?;
    let number = parse(&number)?;
    let (comment, _) = match fields.number("in_reply_to")? {
        Some(first) => {
            let body = fields.required("body")?;
            reviews::reply(&shared, &entry, &actor, (number, first), body).await?
        }
        None => {
            let at = (number, fields.required("commit_id")?);
            reviews::comment(&shared, &entry, &actor, at, new_comment(&fields)?).await?
        }
    };
    let answer = answers::line_comment(&shared, &entry, number, &comment);
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

pub(crate) async fn reply(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, number, first)): Reviewed,
    body: Bytes,
) -> Result<Response, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_WRITE).await?;
    let body = Fields::parse(&body)?.required("body")?;
    fields::check_words(None, Some(&body))?;
    if body.trim().is_empty() {
        return Err(Refusal::unprocessable("Body can't be blank"));
    }
    let number = parse(&number)?;
    let (comment, _) = reviews::reply(&shared, &entry, &actor, (number, parse(&first)?), body).await?;
    let answer = answers::line_comment(&shared, &entry, number, &comment);
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn find_comment(
    shared: &Shared,
    entry: &Entry,
    actor: &Actor,
    id: u64,
) -> Result<(Pull, LineCommentRecord), Refusal> {
    for pull in pulls::list(shared, entry).await? {
        let found = pull.record.comments.iter().find(|comment| comment.id == id);
        if let Some(comment) = found.filter(|comment| sees_comment(actor, &pull.record, comment)).cloned() {
            return Ok((pull, comment));
        }
    }
    Err(Refusal::not_found())
}

pub(crate) async fn show_comment(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, id)): Numbered,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_READ).await?;
    let (pull, comment) = find_comment(&shared, &entry, &actor, parse(&id)?).await?;
    Ok(Json(answers::line_comment(&shared, &entry, pull.record.number, &comment)))
}

pub(crate) async fn edit_comment(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name, id)): Numbered,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (actor, entry) = caller.repository(&shared, (&owner, &name), Need::PULLS_WRITE).await?;
    let body = Fields::parse(&body)?.required("body")?;
    fields::check_words(None, Some(&body))?;
    let (pull, comment) = find_comment(&shared, &entry, &actor, parse(&id)?).await?;
    if comment.author.id != actor.account.id {
        return Err(Refusal::forbidden("You can only change your own comments"));
    }
    let before = comment.body.clone();
    let changed = pulls::touch(&shared, &entry, pull.record.number, |pull| {
        let comment = pull.comments.iter_mut().find(|known| known.id == comment.id).ok_or_else(Refusal::not_found)?;
        comment.body = body;
        comment.updated_at = shared.clock.now();
        Ok::<_, Refusal>(comment.clone())
    });
    let Touched::Done(comment, pull) = changed.await? else { return Err(Refusal::not_found()) };
    let more = json!({ "changes": { "body": { "from": before } } });
    events::line_comment(&shared, &entry, &actor, &pull, &comment, ("edited", more)).await;
    Ok(Json(answers::line_comment(&shared, &entry, pull.record.number, &comment)))
}
