//! Creates, shows, edits and moves tickets.

mod comment_list;
mod comments;
mod edit;
mod new;
mod page;
mod raise;

pub(crate) use comments::{add as add_comment, edit as edit_comment};
pub(crate) use edit::edit;
pub(crate) use new::{TicketForm, create, create_ticket, show_form};
pub(crate) use page::{render_refusal, show};
pub(crate) use raise::{RaiseForm, raise, raise_limit};

use crate::frame::own_path;
use crate::prelude::*;
use pullyard_domain::text::id::{EventId, TicketKey};
use pullyard_domain::ticket::rank::Place;
use pullyard_entry::resolve_ticket_key;
use pullyard_protocol::ticket::MoveTicket;

#[derive(Deserialize)]
pub(crate) struct TicketQuery {
    project: ProjectId,
    key: Option<TicketKey>,
}

pub(crate) async fn load_place(
    visit: &PageContext,
    key: TicketKey,
    TicketQuery { project, key: other }: TicketQuery,
) -> Result<(Project, TicketKey), Fault> {
    let key = resolve_ticket_key(key, other)?;
    visit.check_may_work()?;
    Ok((visit.load_project(&project).await?, key))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveForm {
    /// Absent: only the order in the column changes.
    status: Option<String>,
    /// The ticket before which the card goes; empty for the end of the column.
    before: Option<String>,
    back: Option<String>,
    #[serde(default)]
    form_key: String,
}

/// Moves a ticket and redirects back with the decision. Two clicks on one button are one move.
pub(crate) async fn move_ticket(
    visit: PageContext,
    Path(key): Path<TicketKey>,
    Query(query): Query<TicketQuery>,
    Form(to): Form<MoveForm>,
) -> Result<Response, Fault> {
    let (project, key) = load_place(&visit, key, query).await?;
    let MoveForm { status, before, back, form_key } = to;
    if let Some(status) = &status {
        limits::check_move(&MoveTicket::to(status))?;
    }
    let place = match before.as_deref() {
        None => None,
        Some("") => Some(Place::Last),
        Some(next) => Some(Place::Before(parse_id("before", next)?)),
    };
    let caller = visit.requester();
    let (to, next) = (status.as_deref().unwrap_or_default(), before.as_deref().unwrap_or_default());
    let request = non_empty(&form_key).map(|form_key| EventId::for_button(&form_key, &key, to, next));
    let ticket_move = control::TicketMove { project: project.id.clone(), key, status, place, caller, request };
    let answer = control::move_board_ticket(&visit.ctx, ticket_move).await?;
    let board = format!("/board?project={}", project.id);
    let back = back.as_deref().map_or(board.as_str(), |back| own_path(Some(back)));
    let Some(answer) = answer else { return Ok(redirect(back)) };
    let joint = if back.contains('?') { '&' } else { '?' };
    Ok(redirect(&format!("{back}{joint}decision={}", answer.delivery)))
}
