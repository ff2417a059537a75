//! Routes for reviews and comments on lines.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequestParts, RawPathParams},
    http::{Method, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    caller::Caller,
    fields::{self, Fields},
    paging::Paging,
    pull_requests::parse_number,
    refusal::ApiError,
};
use crate::{
    access::{Actor, Requirement},
    events,
    forge_state::Shared,
    pulls::{self, UpdateOutcome},
    record::{LineCommentRecord, Pull, PullRecord, ReviewRecord, ReviewState, Side},
    render, replies,
    repositories::RepositoryEntry,
    reviews::{self, CommentPosition, NewComment, NewReview, Verdict},
    role::Role,
};

pub(crate) struct ReviewRequest {
    shared: Arc<Shared>,
    actor: Actor,
    entry: Arc<RepositoryEntry>,
    number: String,
    id: String,
}

impl FromRequestParts<Arc<Shared>> for ReviewRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        let need = if matches!(parts.method, Method::GET | Method::HEAD) {
            Requirement::PULLS_READ
        } else {
            Requirement::PULLS_WRITE
        };
        Self::authorize(need, parts, shared).await
    }
}

impl ReviewRequest {
    async fn authorize(need: Requirement, parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, shared).await?;
        let params = RawPathParams::from_request_parts(parts, shared).await.map_err(|_| ApiError::not_found())?;
        let param = |name: &str| {
            params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
        };
        let (actor, entry) = caller.authorize(shared, (&param("owner"), &param("name")), need).await?;
        Ok(Self { shared: shared.clone(), actor, entry, number: param("number"), id: param("id") })
    }

    fn number(&self) -> Result<u64, ApiError> {
        parse_number(&self.number)
    }

    fn id(&self) -> Result<u64, ApiError> {
        parse_number(&self.id)
    }

    async fn pull(&self) -> Result<PullRecord, ApiError> {
        let found = pulls::find(&self.shared, &self.entry, self.number()?).await?;
        Ok(found.ok_or_else(ApiError::not_found)?.record)
    }

    fn review(&self, number: u64, review: &ReviewRecord) -> Json<Value> {
        Json(render::review(&self.shared, &self.entry, number, review))
    }

    fn comment(&self, number: u64, comment: &LineCommentRecord) -> Json<Value> {
        Json(render::line_comment(&self.shared, &self.entry, number, comment))
    }
}

pub(crate) struct DismissRequest(ReviewRequest);

impl FromRequestParts<Arc<Shared>> for DismissRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        let need = Requirement { role: Role::Write, ..Requirement::PULLS_WRITE };
        ReviewRequest::authorize(need, parts, shared).await.map(Self)
    }
}

fn can_see_review(actor: &Actor, review: &ReviewRecord) -> bool {
    review.state != ReviewState::Pending || review.author.id == actor.account.id
}

fn can_see_comment(actor: &Actor, pull: &PullRecord, comment: &LineCommentRecord) -> bool {
    pull.reviews.iter().any(|review| review.id == comment.review && review.state != ReviewState::Pending)
        || comment.author.id == actor.account.id
}

pub(crate) async fn list(about: ReviewRequest, paging: Paging) -> Result<Response, ApiError> {
    let pull = about.pull().await?;
    let visible = pull.reviews.iter().filter(|review| can_see_review(&about.actor, review));
    let items = visible.map(|review| about.review(pull.number, review).0).collect();
    Ok(paging.respond(&about.shared, items))
}

fn parse_verdict(fields: &Fields) -> Result<Option<Verdict>, ApiError> {
    match fields.text("event")?.flatten() {
        None => Ok(None),
        Some(event) if event.is_empty() || event == "PENDING" => Ok(None),
        Some(event) => {
            let verdict = Verdict::parse(&event);
            verdict
                .map(Some)
                .ok_or_else(|| ApiError::unprocessable(format!("Variable $event has the invalid value {event}")))
        }
    }
}

fn parse_comment(fields: &Fields) -> Result<NewComment, ApiError> {
    let side = match fields.text("side")?.flatten().as_deref() {
        None | Some("RIGHT") => Side::Right,
        Some("LEFT") => Side::Left,
        Some(other) => return Err(ApiError::unprocessable(format!("side {other:?} is neither LEFT nor RIGHT"))),
    };
    let at = match (fields.number("line")?, fields.number("position")?) {
        (Some(line), _) => CommentPosition::Line(side, line),
        (None, Some(position)) => CommentPosition::Position(position),
        (None, None) => return Err(ApiError::unprocessable("line or position must be given")),
    };
    let body = fields.required("body")?;
    fields::check_lengths(None, Some(&body))?;
    Ok(NewComment { path: fields.required("path")?, body, position: at, start_line: fields.number("start_line")? })
}

pub(crate) async fn create(about: ReviewRequest, body: Bytes) -> Result<Json<Value>, ApiError> {
    let fields = Fields::parse(&body)?;
    let body = fields.text("body")?.flatten().unwrap_or_default();
    fields::check_lengths(None, Some(&body))?;
    let new = NewReview {
        verdict: parse_verdict(&fields)?,
        body,
        commit: fields.text("commit_id")?.flatten(),
        comments: fields.objects("comments")?.iter().map(parse_comment).collect::<Result<_, _>>()?,
    };
    let number = about.number()?;
    let (review, _) = reviews::create_review(&about.shared, &about.entry, &about.actor, number, new).await?;
    Ok(about.review(number, &review))
}

pub(crate) async fn show(about: ReviewRequest) -> Result<Json<Value>, ApiError> {
    let (pull, id) = (about.pull().await?, about.id()?);
    let review = pull.reviews.iter().find(|review| review.id == id && can_see_review(&about.actor, review));
    Ok(about.review(pull.number, review.ok_or_else(ApiError::not_found)?))
}

pub(crate) async fn edit(about: ReviewRequest, body: Bytes) -> Result<Json<Value>, ApiError> {
    let body = Fields::parse(&body)?.required("body")?;
    fields::check_lengths(None, Some(&body))?;
    let of = (about.number()?, about.id()?);
    let (review, _) = reviews::edit(&about.shared, &about.entry, &about.actor, of, body).await?;
    Ok(about.review(of.0, &review))
}

pub(crate) async fn discard(about: ReviewRequest) -> Result<Json<Value>, ApiError> {
    let of = (about.number()?, about.id()?);
    let (review, _) = reviews::discard(&about.shared, &about.entry, &about.actor, of).await?;
    Ok(about.review(of.0, &review))
}

pub(crate) async fn submit(about: ReviewRequest, body: Bytes) -> Result<Json<Value>, ApiError> {
    let fields = Fields::parse(&body)?;
    let verdict = parse_verdict(&fields)?.ok_or_else(|| ApiError::unprocessable("event must be given"))?;
    let submission = (verdict, fields.text("body")?.flatten());
    let of = (about.number()?, about.id()?);
    let (review, _) = reviews::submit(&about.shared, &about.entry, &about.actor, of, submission).await?;
    Ok(about.review(of.0, &review))
}

pub(crate) async fn dismiss(DismissRequest(about): DismissRequest, body: Bytes) -> Result<Json<Value>, ApiError> {
    Fields::parse(&body)?.required("message")?;
    let of = (about.number()?, about.id()?);
    let (review, _) = reviews::dismiss(&about.shared, &about.entry, &about.actor, of).await?;
    Ok(about.review(of.0, &review))
}

/// Omits `line` of outdated comments; the pull request's list has null instead.
pub(crate) async fn list_review_comments(about: ReviewRequest, paging: Paging) -> Result<Response, ApiError> {
    let (pull, id) = (about.pull().await?, about.id()?);
    let review = pull.reviews.iter().find(|review| review.id == id && can_see_review(&about.actor, review));
    review.ok_or_else(ApiError::not_found)?;
    let own = pull.comments.iter().filter(|comment| comment.review == id);
    let show = |comment: &LineCommentRecord| {
        let Json(mut body) = about.comment(pull.number, comment);
        if let (None, Some(fields)) = (comment.line, body.as_object_mut()) {
            fields.remove("line");
        }
        body
    };
    Ok(paging.respond(&about.shared, own.map(show).collect()))
}

pub(crate) async fn comments(about: ReviewRequest, paging: Paging) -> Result<Response, ApiError> {
    let pull = about.pull().await?;
    let pending = |comment: &LineCommentRecord| {
        pull.reviews.iter().any(|review| review.id == comment.review && review.state == ReviewState::Pending)
    };
    let public = pull.comments.iter().filter(|comment| !pending(comment));
    let items = public.map(|comment| about.comment(pull.number, comment).0).collect();
    Ok(paging.respond(&about.shared, items))
}

pub(crate) async fn comment(about: ReviewRequest, body: Bytes) -> Result<Response, ApiError> {
    let fields = Fields::parse(&body)?;
    let number = about.number()?;
    let ReviewRequest { shared, actor, entry, .. } = &about;
    let (comment, _) = match fields.number("in_reply_to")? {
        Some(first) => replies::create_reply(shared, entry, actor, (number, first), fields.required("body")?).await?,
        None => {
            let at = (number, fields.required("commit_id")?);
            reviews::create_comment(shared, entry, actor, at, parse_comment(&fields)?).await?
        }
    };
    Ok((StatusCode::CREATED, about.comment(number, &comment)).into_response())
}

pub(crate) async fn reply(about: ReviewRequest, body: Bytes) -> Result<Response, ApiError> {
    let body = Fields::parse(&body)?.required("body")?;
    fields::check_lengths(None, Some(&body))?;
    if body.trim().is_empty() {
        return Err(ApiError::unprocessable("Body can't be blank"));
    }
    let of = (about.number()?, about.id()?);
    let (comment, _) = replies::create_reply(&about.shared, &about.entry, &about.actor, of, body).await?;
    Ok((StatusCode::CREATED, about.comment(of.0, &comment)).into_response())
}

async fn find_comment(about: &ReviewRequest) -> Result<(Pull, LineCommentRecord), ApiError> {
    let id = about.id()?;
    for pull in pulls::list(&about.shared, &about.entry).await? {
        let found = pull.record.comments.iter().find(|comment| comment.id == id);
        if let Some(comment) = found.filter(|comment| can_see_comment(&about.actor, &pull.record, comment)).cloned() {
            return Ok((pull, comment));
        }
    }
    Err(ApiError::not_found())
}

pub(crate) async fn show_comment(about: ReviewRequest) -> Result<Json<Value>, ApiError> {
    let (pull, comment) = find_comment(&about).await?;
    Ok(about.comment(pull.record.number, &comment))
}

pub(crate) async fn edit_comment(about: ReviewRequest, body: Bytes) -> Result<Json<Value>, ApiError> {
    let body = Fields::parse(&body)?.required("body")?;
    fields::check_lengths(None, Some(&body))?;
    let (pull, comment) = find_comment(&about).await?;
    if comment.author.id != about.actor.account.id {
        return Err(ApiError::forbidden("You can only change your own comments"));
    }
    let before = comment.body.clone();
    let changed = pulls::update_record(&about.shared, &about.entry, pull.record.number, |pull| {
        let comment =
            pull.comments.iter_mut().find(|existing| existing.id == comment.id).ok_or_else(ApiError::not_found)?;
        comment.body = body;
        comment.updated_at = about.shared.clock.now_unique();
        Ok::<_, ApiError>(comment.clone())
    });
    let UpdateOutcome::Updated(comment, pull) = changed.await? else { return Err(ApiError::not_found()) };
    let more = json!({ "changes": { "body": { "from": before } } });
    events::publish_line_comment(&about.shared, &about.entry, &about.actor, &pull, &comment, ("edited", more)).await;
    Ok(about.comment(pull.record.number, &comment))
}
