//! The board: a column per status and a card per ticket.

mod card;
mod filter;

pub(crate) use card::{
    Link, Move, PullRequestLink, list_moves, move_url, pull_request, repository, ticket_url, title_or_key,
};

use crate::assets;
use crate::fault::Fault;
use crate::form::new_form_key;
use crate::frame::{Frame, redirect, render_page};
use crate::hold::HoldView;
use crate::labels;
use crate::text::{SafeText, line, percent_encode};
use crate::verdict::{self, DecisionLine};
use crate::visit::PageContext;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use card::{Card, to_card};
use filter::Filter;
use pullyard_control::{self as control, Error};
use pullyard_domain::id::{DeliveryId, ProjectId, TicketKey};
use pullyard_domain::project::{Settings, Statuses};
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
#[template(path = "board.html", whitespace = "minimize")]
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
    /// Key of the forms.
    once: String,
    /// The address of this view, to which a move returns, unless it is the board's own.
    back: Option<String>,
    script: &'static str,
}

struct Column {
    /// Sent by a card's button; the label may differ.
    status: String,
    name: SafeText,
    starts_jobs: bool,
    /// What a card's move to the column does, in few words.
    effect: &'static str,
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
    cards.sort_by(|one, other| one.view.ticket.card_order().cmp(&other.view.ticket.card_order()));
    let column = |status: &String| {
        let own: Vec<_> = cards.iter().filter(|card| card.view.ticket.status == *status).collect();
        let keys: Vec<_> = own.iter().map(|card| &card.view.ticket.key).collect();
        let to_card = |(at, card): (usize, &&control::Card)| Card {
            places: list_places(&keys, at),
            ..to_card(card, &statuses, &project)
        };
        Column {
            status: status.clone(),
            name: line(status),
            starts_jobs: *status == project.settings.statuses.trigger,
            effect: describe_effect(&project.settings, status),
            cards: own.iter().enumerate().map(to_card).collect(),
        }
    };
    let page = after.as_deref().map(|after| format!("&after={}", percent_encode(after))).unwrap_or_default();
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
        project: project.id.to_string(),
        once: new_form_key(),
        back: (!page.is_empty() || !filter.is_empty())
            .then(|| format!("/board?project={}{page}{}", project.id, filter.to_query())),
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

fn describe_effect(settings: &Settings, status: &str) -> &'static str {
    if status != settings.statuses.trigger {
        "Changes the status"
    } else if !settings.auto_create {
        "Will not start: automatic jobs are off"
    } else if settings.held_by.is_some() {
        "Will not start: project on hold"
    } else {
        "Starts a job"
    }
}

/// Lists the places to which a card of a column may move: the key before which it goes, or an empty one for the end.
fn list_places(keys: &[&TicketKey], at: usize) -> Vec<(String, &'static str)> {
    let key = |at: usize| keys.get(at).map(|key| key.to_string()).unwrap_or_default();
    let top = (at > 1).then(|| (key(0), "Move to top"));
    let up = at.checked_sub(1).map(|previous| (key(previous), "Move up"));
    let down = (at + 1 < keys.len()).then(|| (key(at + 2), "Move down"));
    [top, up, down].into_iter().flatten().collect()
}
