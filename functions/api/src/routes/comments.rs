//! Lists, adds, edits and deletes comments on tickets.

use super::tickets::TicketQuery;
use crate::routes::prelude::*;
use pullyard_control::{AddedComment, CommentChange, NewComment};
use pullyard_domain::text::id::TicketKey;
use pullyard_entry::openapi::CreatedOrExisting;
use pullyard_entry::resolve_ticket_key;
use pullyard_protocol::ticket::{Comment, CommentPage, DeletedComment, WriteComment};

/// A page of a ticket's comments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct CommentPageQuery {
    /// The ticket's project.
    project: ProjectId,
    /// The ticket's key, if it has other characters than letters, digits and `-._~`. The path then has `-` instead.
    key: Option<TicketKey>,
    /// The cursor of an earlier page.
    after: Option<u32>,
}

pub(crate) async fn list(
    caller: Caller<scope::Read>,
    Path(path): Path<TicketKey>,
    Query(CommentPageQuery { project, key, after }): Query<CommentPageQuery>,
) -> Result<Json<CommentPage>, Problem> {
    caller.authorize_project(&project)?;
    let key = resolve_ticket_key(path, key)?;
    let page = control::list_comments(&caller.ctx, &project, &key, after).await?;
    Ok(Json(CommentPage { comments: page.comments.into_iter().map(wire::comment).collect(), next: page.next }))
}

/// `201` for a new comment, `200` for a repeated request.
pub(crate) async fn add(
    caller: Caller<scope::Jobs>,
    Path(path): Path<TicketKey>,
    Query(TicketQuery { project, key }): Query<TicketQuery>,
    IdempotencyKey(request): IdempotencyKey,
    StrictJson(comment): StrictJson<WriteComment>,
) -> Result<CreatedOrExisting<Comment>, Problem> {
    caller.authorize_project(&project)?;
    let key = resolve_ticket_key(path, key)?;
    limits::check_comment(&comment)?;
    let right = caller.raise_right();
    let new = NewComment { project, key, text: comment.text, caller: caller.requester(), right, request };
    Ok(match control::add_comment(&caller.ctx, new).await? {
        AddedComment::New(comment) => CreatedOrExisting::Created(wire::comment(comment)),
        AddedComment::Existing(comment) => CreatedOrExisting::Existing(wire::comment(comment)),
    })
}

pub(crate) async fn edit(
    caller: Caller<scope::Jobs>,
    Path((path, number)): Path<(TicketKey, u32)>,
    Query(TicketQuery { project, key }): Query<TicketQuery>,
    StrictJson(comment): StrictJson<WriteComment>,
) -> Result<Json<Comment>, Problem> {
    caller.authorize_project(&project)?;
    let key = resolve_ticket_key(path, key)?;
    limits::check_comment(&comment)?;
    let change = CommentChange { project, key, number, editor: caller.editor() };
    Ok(Json(wire::comment(control::edit_comment(&caller.ctx, change, &comment.text).await?)))
}

pub(crate) async fn delete(
    caller: Caller<scope::Jobs>,
    Path((path, number)): Path<(TicketKey, u32)>,
    Query(TicketQuery { project, key }): Query<TicketQuery>,
) -> Result<Json<DeletedComment>, Problem> {
    caller.authorize_project(&project)?;
    let key = resolve_ticket_key(path, key)?;
    let change = CommentChange { project: project.clone(), key: key.clone(), number, editor: caller.editor() };
    control::delete_comment(&caller.ctx, change).await?;
    Ok(Json(DeletedComment { project, key, number }))
}
