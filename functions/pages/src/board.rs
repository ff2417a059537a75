//! The board: a column per status and a card per ticket.

mod card;
mod filter;

pub(crate) use card::{
    Link, Move, PullRequestLink, list_moves, move_url, pull_request, repository, ticket_url, title_or_key,
};

use crate::fault::Fault;
use crate::form::new_form_key;
use crate::frame::{Frame, redirect, render_page};
use crate::hold::HoldView;
use crate::labels;
use crate::text::{SafeText, line};
use crate::verdict::{self, DecisionLine};
use crate::visit::PageContext;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use card::{Card, to_card};
use filter::Filter;
use pullyard_control::{self as control, Error};
use pullyard_domain::id::{DeliveryId, ProjectId, TicketKey};
use pullyard_domain::project::Statuses;
use pullyard_domain::ticket::Ticket;
use pullyard_entry::Query;
use serde::Deserialize;
use std::collections::BTreeSet;

const PAGE_SIZE: i32 = 200;

#[derive(Deserialize)]
pub(crate) struct BoardQuery {
    project: Option<ProjectId>,
    after: Option<String>,
    said: Option<DeliveryId>,
    #[serde(flatten)]
    filter: Filter,
}

#[derive(Template)]
#[template(path = "board.html")]
struct Board {
    frame: Frame,
    project: String,
    may_work: bool,
    may_administer: bool,
    held: Option<HoldView>,
    said: Option<DecisionLine>,
    filter: Filter,
    repositories: Vec<String>,
    labels: BTreeSet<String>,
    columns: Vec<Column>,
    /// The project has no ticket, or none matches the filter.
    empty: bool,
    later: bool,
    next: Option<String>,
    refresh: u32,
    /// Key of the forms. Outside the list: the script replaces a changed list, and each response has a new key.
    once: String,
}

struct Column {
    /// Sent by a card's button; the label may differ.
    status: String,
    name: SafeText,
    starts_jobs: bool,
    cards: Vec<Card>,
}

pub(crate) struct NoProject;

impl NoProject {
    /// Pages of a project redirect to the first run while the visitor has no project.
    pub(crate) fn of(_: &PageContext, _: &'static str) -> Response {
        redirect("/setup/start")
    }
}

pub(crate) async fn show(
    visit: PageContext,
    query: Result<Query<BoardQuery>, pullyard_entry::Problem>,
) -> Result<Response, Fault> {
    let Query(BoardQuery { project, after, said, filter }) = query?;
    let Some(project) = visit.load_selected_project(project).await? else {
        return Ok(NoProject::of(&visit, "board"));
    };
    let view = control::load_board(&visit.ctx, &project.id, after.as_deref(), PAGE_SIZE).await?;
    let repositories = visit.ctx.store.list_repositories(&project.id).await.map_err(Error::from)?;
    let statuses = list_statuses(&project.settings.statuses, view.cards.iter().map(|card| &card.view.ticket));
    let labels = view.cards.iter().flat_map(|card| card.view.text.labels.iter().cloned());
    let labels = labels.chain(Some(filter.label.clone()).filter(|label| !label.is_empty())).collect();
    let mut cards = view.cards;
    cards.retain(|card| filter.matches(&card.view, repository(&card.view, &project)));
    cards.sort_by_cached_key(|card| natural_sort_key(&card.view.ticket.key));
    let column = |status: &String| Column {
        status: status.clone(),
        name: line(status),
        starts_jobs: *status == project.settings.statuses.trigger,
        cards: cards
            .iter()
            .filter(|card| card.view.ticket.status == *status)
            .map(|card| to_card(card, &statuses, &project))
            .collect(),
    };
    let board = Board {
        refresh: labels::refresh_ms(cards.iter().any(|card| card.view.ticket.active_job.is_some())),
        frame: visit.frame(&format!("Board of {}", project.name), "board", Some(&project.id)),
        may_work: visit.visitor.may_run_jobs(),
        may_administer: visit.visitor.may_administer(),
        held: HoldView::from_settings(&project.settings),
        said: verdict::load_decision_line(&visit, &project.id, said.as_ref()).await?,
        columns: statuses.iter().map(column).collect(),
        empty: cards.is_empty() && (after.is_none() || !filter.is_empty()),
        later: after.is_some(),
        next: view.next.map(|next| format!("/board?project={}&after={next}{}", project.id, filter.to_query())),
        repositories: repositories.iter().map(|repository| repository.name.to_string()).collect(),
        labels,
        filter,
        project: project.id.to_string(),
        once: new_form_key(),
    };
    Ok(render_page(StatusCode::OK, &board))
}

pub(crate) fn list_statuses<'a>(own: &Statuses, tickets: impl Iterator<Item = &'a Ticket>) -> Vec<String> {
    let mut statuses = Vec::new();
    for status in [&own.todo, &own.trigger, &own.completion] {
        if !statuses.contains(status) {
            statuses.push(status.clone());
        }
    }
    let mut others: Vec<_> = tickets.map(|ticket| &ticket.status).filter(|status| !statuses.contains(status)).collect();
    others.sort();
    others.dedup();
    statuses.extend(others.into_iter().cloned());
    statuses
}

/// Sorts `APP-10` after `APP-2`.
fn natural_sort_key(key: &TicketKey) -> (String, u64, String) {
    let text = key.as_str();
    let prefix = text.trim_end_matches(|c: char| c.is_ascii_digit());
    (prefix.to_owned(), text[prefix.len()..].parse().unwrap_or(0), text.to_owned())
}
