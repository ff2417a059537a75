//! Tickets of the built-in board.

use super::page::PAGE;
use crate::wire;
use axum::Json;
use axum::extract::State;
use pullyard_control::{self as control, Answer, Changes, Context, Edit, Move, NewTicket};
use pullyard_domain::decision::Verdict;
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{ProjectId, TicketKey};
use pullyard_entry::openapi::Made;
use pullyard_entry::{Caller, Key, Path, Problem, Query, Strict, limits, scope, ticket_named};
use pullyard_protocol::ticket::{CreateTicket, EditTicket, MoveTicket, Ticket, TicketAnswer, TicketPage};
use schemars::JsonSchema;
use serde::Deserialize;

/// A page of a project's tickets.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Page {
    /// The project.
    project: ProjectId,
    /// The cursor of an earlier page.
    after: Option<String>,
}

/// The project of a ticket, because a key is unique only in its project.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct In {
    /// The ticket's project.
    project: ProjectId,
    /// The ticket's key, if it has other characters than letters, digits and `-._~`. The path then has `-` instead.
    key: Option<TicketKey>,
}

async fn answered(
    ctx: &Context,
    project: &ProjectId,
    key: &TicketKey,
    answer: Answer,
) -> Result<Json<TicketAnswer>, Problem> {
    let view = control::ticket_view(ctx, project, key).await?;
    Ok(Json(TicketAnswer { ticket: wire::ticket(view), decision: wire::decision(answer) }))
}

/// `201` for a new ticket, `200` for a repeated request.
pub(crate) async fn create(
    State(ctx): State<Context>,
    caller: Caller<scope::Jobs>,
    Key(request): Key,
    Strict(new): Strict<CreateTicket>,
) -> Result<Made<TicketAnswer>, Problem> {
    caller.may_touch(&new.project)?;
    limits::ticket(&new)?;
    let (project, key) = (new.project.clone(), new.key.clone());
    let text = TicketText {
        title: new.title,
        description: new.description,
        labels: new.labels,
        url: None,
        repository: new.repository,
    };
    let caller = caller.requester();
    let ticket = NewTicket { project: new.project, key: new.key, text, status: new.status, caller, request };
    let answer = control::create_ticket(&ctx, ticket).await?;
    let verdict = answer.reason.verdict();
    let Json(told) = answered(&ctx, &project, &key, answer).await?;
    Ok(if verdict == Verdict::Duplicate { Made::Before(told) } else { Made::Now(told) })
}

pub(crate) async fn list(
    State(ctx): State<Context>,
    caller: Caller<scope::Read>,
    Query(page): Query<Page>,
) -> Result<Json<TicketPage>, Problem> {
    caller.may_touch(&page.project)?;
    let (views, next) = control::ticket_views(&ctx, &page.project, page.after.as_deref(), PAGE).await?;
    Ok(Json(TicketPage { tickets: views.into_iter().map(wire::ticket).collect(), next }))
}

pub(crate) async fn show(
    State(ctx): State<Context>,
    caller: Caller<scope::Read>,
    Path(path): Path<TicketKey>,
    Query(In { project, key }): Query<In>,
) -> Result<Json<Ticket>, Problem> {
    caller.may_touch(&project)?;
    let key = ticket_named(path, key)?;
    Ok(Json(wire::ticket(control::ticket_view(&ctx, &project, &key).await?)))
}

/// The move succeeds regardless of the decision about a job.
pub(crate) async fn put(
    State(ctx): State<Context>,
    caller: Caller<scope::Jobs>,
    Path(path): Path<TicketKey>,
    Query(In { project, key }): Query<In>,
    Key(request): Key,
    Strict(to): Strict<MoveTicket>,
) -> Result<Json<TicketAnswer>, Problem> {
    caller.may_touch(&project)?;
    let key = ticket_named(path, key)?;
    limits::put(&to)?;
    let (project_id, ticket) = (project.clone(), key.clone());
    let wanted = Move { project, key, status: to.status, caller: caller.requester(), request };
    let answer = control::put_ticket(&ctx, wanted).await?;
    answered(&ctx, &project_id, &ticket, answer).await
}

pub(crate) async fn edit(
    State(ctx): State<Context>,
    caller: Caller<scope::Jobs>,
    Path(path): Path<TicketKey>,
    Query(In { project, key }): Query<In>,
    Key(request): Key,
    Strict(change): Strict<EditTicket>,
) -> Result<Json<TicketAnswer>, Problem> {
    caller.may_touch(&project)?;
    let key = ticket_named(path, key)?;
    limits::edit(&change)?;
    let EditTicket { title, description, labels, repository } = change;
    let changes = Changes { title, description, labels, repository };
    let (project_id, ticket) = (project.clone(), key.clone());
    let wanted = Edit { project, key, changes, caller: caller.requester(), request };
    let answer = control::edit_ticket(&ctx, wanted).await?;
    answered(&ctx, &project_id, &ticket, answer).await
}
