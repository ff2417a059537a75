//! The board: a column per status and a card per ticket.

mod card;
mod columns;
mod filter;
mod parts;

pub(crate) use card::{Move, list_moves, move_url, pull_request, repository, ticket_url, title_or_key};

use crate::assets;
use crate::hold::HoldView;
use crate::prelude::*;
use crate::verdict::{self, DecisionLine};
use columns::{Column, Item, OpenColumn};
use filter::Filter;
use pullyard_domain::project::Statuses;
use pullyard_domain::text::id::DeliveryId;
use pullyard_domain::ticket::Ticket;
use std::collections::BTreeSet;

const PAGE_SIZE: i32 = 200;

#[derive(Deserialize)]
pub(crate) struct BoardQuery {
    project: Option<ProjectId>,
    after: Option<String>,
    decision: Option<DeliveryId>,
    /// The status of the column that shows more cards, beginning with `from`.
    column: Option<String>,
    #[serde(default)]
    from: usize,
    #[serde(flatten)]
    filter: Filter,
}

#[derive(Template)]
#[template(path = "board.html", whitespace = "minimize")]
struct Board {
    frame: Frame,
    /// The page of the ticket tool that creates a ticket, and the tool's name.
    new_in_tool: Option<(String, &'static str)>,
    held: Option<HoldView>,
    decision: Option<DecisionLine>,
    filter: Filter,
    repositories: Vec<String>,
    labels: BTreeSet<String>,
    columns: Vec<Column>,
    /// The project has no ticket, or none matches the filter.
    empty: bool,
    has_newer: bool,
    next: Option<String>,
    /// The address of the board with all columns alike, if one is open.
    all_columns_url: Option<String>,
    refresh: u32,
    form_key: String,
    script: &'static str,
}

pub(crate) async fn show(
    visit: PageContext,
    Query(BoardQuery { project, after, decision: delivery, column: open, from, filter }): Query<BoardQuery>,
) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(project).await? else { return Ok(redirect_to_start()) };
    let view = control::load_board(&visit.ctx, &project.id, after.as_deref(), PAGE_SIZE).await?;
    let repositories = visit.ctx.store.list_repositories(&project.id).await?;
    let tool = match &project.settings.tracker {
        Some(tool) => visit.ctx.store.load_tracker(&tool.connection).await?,
        None => None,
    };
    let default = project.settings.default_repository.as_ref().or_else(|| match &repositories[..] {
        [only] => Some(&only.name),
        _ => None,
    });
    let new_in_tool = tool.and_then(|tool| Some((tool.new_ticket_url(default)?, tool.kind.label())));
    let statuses = list_statuses(&project.settings.statuses, view.cards.iter().map(|card| &card.view.ticket));
    let labels = view.cards.iter().flat_map(|card| card.view.text.labels.iter().cloned());
    let labels = labels.chain(Some(filter.label.clone()).filter(|label| !label.is_empty())).collect();
    let mut cards = view.cards;
    cards.retain(|card| filter.matches(&card.view, repository(&card.view, &project)));
    cards.sort_by(|a, b| a.view.ticket.card_order().cmp(&b.view.ticket.card_order()));
    let page = after.as_deref().map(|after| format!("&after={}", percent_encode(after))).unwrap_or_default();
    let url = format!("/board?project={}{page}{}", project.id, filter.to_query());
    let open = open.filter(|status| statuses.contains(status)).map(|status| OpenColumn { status, from });
    let board = Board {
        refresh: labels::refresh_ms(cards.iter().any(|card| card.view.ticket.active_job.is_some())),
        frame: visit.frame(&format!("Board of {}", project.name), "board", Some(&project.id)),
        new_in_tool,
        held: HoldView::from_settings(&project.settings),
        decision: verdict::load_decision_line(&visit, &project.id, delivery.as_ref()).await?,
        columns: columns::build_columns((&visit.ctx, &project, view.now), &statuses, &cards, open.as_ref(), &url),
        empty: cards.is_empty() && (after.is_none() || !filter.is_empty()),
        has_newer: after.is_some(),
        next: view.next.map(|next| format!("/board?project={}&after={next}{}", project.id, filter.to_query())),
        repositories: repositories.iter().map(|repository| repository.name.to_string()).collect(),
        labels,
        form_key: new_form_key(),
        all_columns_url: open.map(|_| url),
        script: &assets::BOARD_SCRIPT.url,
        filter,
    };
    Ok(render_page(StatusCode::OK, &board))
}

/// The project's columns in their order, then the other statuses of these tickets.
pub(crate) fn list_statuses<'a>(own: &Statuses, tickets: impl Iterator<Item = &'a Ticket>) -> Vec<String> {
    let others: BTreeSet<_> = tickets.map(|ticket| &ticket.status).filter(|status| !own.has_column(status)).collect();
    own.columns.iter().chain(others).cloned().collect()
}
