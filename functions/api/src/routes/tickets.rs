//! Creates, lists, moves, edits and deletes tickets of the built-in board.

use crate::routes::prelude::*;
use pullyard_control::{Answer, LimitRaise, NewTicket, RaisedSubject, TextChanges, TicketEdit, TicketMove};
use pullyard_domain::text::decision::Verdict;
use pullyard_domain::text::id::TicketKey;
use pullyard_domain::ticket::event::TicketText;
use pullyard_domain::ticket::rank::Place;
use pullyard_entry::openapi::CreatedOrExisting;
use pullyard_entry::resolve_ticket_key;
use pullyard_protocol::ticket::{
    CreateTicket, DeletedTicket, EditTicket, LimitUse, MoveTicket, MovedTicket, RaiseLimit, Ticket, TicketAnswer,
    TicketPage,
};
use std::time::Duration;

/// The project of a ticket, because a key is unique only in its project.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct TicketQuery {
    /// The ticket's project.
    pub(super) project: ProjectId,
    /// The ticket's key, if it has other characters than letters, digits and `-._~`. The path then has `-` instead.
    pub(super) key: Option<TicketKey>,
}

async fn load_answer(
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
    caller: Caller<scope::Jobs>,
    IdempotencyKey(request): IdempotencyKey,
    StrictJson(new): StrictJson<CreateTicket>,
) -> Result<CreatedOrExisting<TicketAnswer>, Problem> {
    caller.authorize_project(&new.project)?;
    limits::check_ticket(&new)?;
    let (project, key) = (new.project.clone(), new.key.clone());
    let text = TicketText {
        title: new.title,
        description: new.description,
        labels: new.labels,
        url: None,
        repository: new.repository,
    };
    let (status, requester) = (new.status, caller.requester());
    let ticket = NewTicket { project: new.project, key: new.key, text, status, caller: requester, request };
    let answer = control::create_ticket(&caller.ctx, ticket).await?;
    let verdict = answer.reason.verdict();
    let key = match key {
        Some(key) => key,
        None => control::load_created_key(&caller.ctx, &answer).await?,
    };
    let Json(body) = load_answer(&caller.ctx, &project, &key, answer).await?;
    Ok(if verdict == Verdict::Duplicate { CreatedOrExisting::Existing(body) } else { CreatedOrExisting::Created(body) })
}

pub(crate) async fn list(
    caller: Caller<scope::Read>,
    Query(page): Query<ProjectPageQuery>,
) -> Result<Json<TicketPage>, Problem> {
    caller.authorize_project(&page.project)?;
    let (views, next) = control::ticket_views(&caller.ctx, &page.project, page.after.as_deref(), PAGE_SIZE).await?;
    Ok(Json(TicketPage { tickets: views.into_iter().map(wire::ticket).collect(), next }))
}

pub(crate) async fn show(
    caller: Caller<scope::Read>,
    Path(path): Path<TicketKey>,
    Query(TicketQuery { project, key }): Query<TicketQuery>,
) -> Result<Json<Ticket>, Problem> {
    caller.authorize_project(&project)?;
    let key = resolve_ticket_key(path, key)?;
    Ok(Json(wire::ticket(control::ticket_view(&caller.ctx, &project, &key).await?)))
}

/// The move succeeds regardless of the decision about a job.
pub(crate) async fn move_ticket(
    caller: Caller<scope::Jobs>,
    Path(path): Path<TicketKey>,
    Query(TicketQuery { project, key }): Query<TicketQuery>,
    IdempotencyKey(request): IdempotencyKey,
    StrictJson(to): StrictJson<MoveTicket>,
) -> Result<Json<MovedTicket>, Problem> {
    caller.authorize_project(&project)?;
    let key = resolve_ticket_key(path, key)?;
    limits::check_move(&to)?;
    let (project_id, ticket) = (project.clone(), key.clone());
    let place = to.before.map(Place::Before).or(to.last.then_some(Place::Last));
    let ticket_move = TicketMove { project, key, status: Some(to.status), place, caller: caller.requester(), request };
    let decision = control::move_board_ticket(&caller.ctx, ticket_move).await?.map(wire::decision);
    let ticket = wire::ticket(control::ticket_view(&caller.ctx, &project_id, &ticket).await?);
    Ok(Json(MovedTicket { ticket, decision }))
}

/// A repeated request raises nothing.
pub(crate) async fn raise(
    caller: Caller<scope::Jobs>,
    Path(path): Path<TicketKey>,
    Query(TicketQuery { project, key }): Query<TicketQuery>,
    IdempotencyKey(request): IdempotencyKey,
    StrictJson(raise): StrictJson<RaiseLimit>,
) -> Result<Json<LimitUse>, Problem> {
    caller.authorize_project(&project)?;
    let subject = RaisedSubject::Ticket(project, resolve_ticket_key(path, key)?);
    let raise = LimitRaise {
        subject,
        usd_micros: raise.usd_micros,
        jobs: raise.jobs,
        duration: Duration::from_secs(raise.for_secs),
        right: caller.raise_right(),
        caller: caller.requester(),
        key: request.map(|key| key.to_string()),
    };
    Ok(Json(wire::limit_use(control::raise_limit(&caller.ctx, &raise).await?)))
}

pub(crate) async fn edit(
    caller: Caller<scope::Jobs>,
    Path(path): Path<TicketKey>,
    Query(TicketQuery { project, key }): Query<TicketQuery>,
    IdempotencyKey(request): IdempotencyKey,
    StrictJson(change): StrictJson<EditTicket>,
) -> Result<Json<TicketAnswer>, Problem> {
    caller.authorize_project(&project)?;
    let key = resolve_ticket_key(path, key)?;
    limits::check_edit(&change)?;
    let EditTicket { title, description, labels, repository } = change;
    let changes = TextChanges { title, description, labels, repository };
    let (project_id, ticket) = (project.clone(), key.clone());
    let ticket_edit = TicketEdit { project, key, changes, based_on: None, caller: caller.requester(), request };
    let answer = control::edit_ticket(&caller.ctx, ticket_edit).await?;
    load_answer(&caller.ctx, &project_id, &ticket, answer).await
}

pub(crate) async fn delete(
    caller: Caller<scope::Jobs>,
    Path(path): Path<TicketKey>,
    Query(TicketQuery { project, key }): Query<TicketQuery>,
) -> Result<Json<DeletedTicket>, Problem> {
    caller.authorize_project(&project)?;
    let key = resolve_ticket_key(path, key)?;
    control::delete_ticket(&caller.ctx, &project, &key).await?;
    Ok(Json(DeletedTicket { project, key }))
}
