//! The board: a column per status and a card per ticket.

use crate::fault::Fault;
use crate::form::new_form_key;
use crate::frame::{Frame, redirect, render_page};
use crate::hold::HoldView;
use crate::labels::{self, Pill};
use crate::text::{SafeText, http_url, line, percent_encode};
use crate::verdict::{self, DecisionLine};
use crate::visit::PageContext;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use pullyard_control::{self as control, JobView, TicketView};
use pullyard_domain::id::{DeliveryId, ProjectId, TicketKey};
use pullyard_domain::project::Statuses;
use pullyard_domain::pull_request::PullRequestState;
use pullyard_domain::ticket::Ticket;
use pullyard_entry::Query;
use serde::Deserialize;

const PAGE_SIZE: i32 = 200;

#[derive(Deserialize)]
pub(crate) struct BoardQuery {
    project: Option<ProjectId>,
    after: Option<String>,
    said: Option<DeliveryId>,
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
    columns: Vec<Column>,
    empty: bool,
    next: Option<String>,
    refresh: u32,
    /// Key of the cards' forms. Outside the list: the script replaces a changed list, and each response has a new key.
    once: String,
}

struct Column {
    /// Sent by a card's button; the label may differ.
    status: String,
    name: SafeText,
    starts_jobs: bool,
    cards: Vec<Card>,
}

struct Card {
    key: SafeText,
    address: String,
    move_address: String,
    title: SafeText,
    pill: Option<Pill>,
    job: Option<String>,
    sentence: Option<SafeText>,
    pull_request: Option<PullRequestLink>,
    labels: Vec<SafeText>,
    moves: Vec<Move>,
}

pub(crate) struct Link {
    pub(crate) address: String,
    pub(crate) words: String,
}

pub(crate) struct PullRequestLink {
    pub(crate) link: Link,
    pub(crate) ended: Option<&'static str>,
}

pub(crate) struct Move {
    pub(crate) status: String,
    pub(crate) words: SafeText,
    pub(crate) starts_jobs: bool,
}

pub(crate) struct NoProject;

impl NoProject {
    /// Pages of a project redirect to the first run while the visitor has no project.
    pub(crate) fn of(_: &PageContext, _: &'static str) -> Response {
        redirect("/setup/start")
    }
}

pub(crate) async fn redirect_to_board(_: PageContext) -> Response {
    redirect("/board")
}

pub(crate) async fn show(
    visit: PageContext,
    query: Result<Query<BoardQuery>, pullyard_entry::Problem>,
) -> Result<Response, Fault> {
    let Query(query) = query?;
    let Some(project) = visit.load_selected_project(query.project).await? else {
        return Ok(NoProject::of(&visit, "board"));
    };
    let view = control::load_board(&visit.ctx, &project.id, query.after.as_deref(), PAGE_SIZE).await?;
    let decision = verdict::load_decision_line(&visit, &project.id, query.said.as_ref()).await?;
    let statuses = list_statuses(&project.settings.statuses, view.cards.iter().map(|card| &card.view.ticket));
    let mut cards = view.cards;
    cards.sort_by_cached_key(|card| natural_sort_key(&card.view.ticket.key));
    let column = |status: &String| Column {
        status: status.clone(),
        name: line(status),
        starts_jobs: *status == project.settings.statuses.trigger,
        cards: cards
            .iter()
            .filter(|card| card.view.ticket.status == *status)
            .map(|card| to_card(card, &statuses, &project.settings.statuses))
            .collect(),
    };
    let board = Board {
        refresh: labels::refresh_ms(cards.iter().any(|card| card.job.is_some())),
        frame: visit.frame(&format!("Board of {}", project.name), "board", Some(&project.id)),
        may_work: visit.visitor.may_run_jobs(),
        may_administer: visit.visitor.may_administer(),
        held: HoldView::from_settings(&project.settings),
        said: decision,
        columns: statuses.iter().map(column).collect(),
        empty: cards.is_empty() && query.after.is_none(),
        next: view.next.map(|next| format!("/board?project={}&after={next}", project.id)),
        project: project.id.to_string(),
        once: new_form_key(),
    };
    Ok(render_page(StatusCode::OK, &board))
}

fn to_card(card: &control::Card, statuses: &[String], own: &Statuses) -> Card {
    let ticket = &card.view.ticket;
    let (pill, job) = match (&card.job, ticket.shown.badge) {
        (Some(JobView { job, .. }), _) => (Some(labels::pill(job.status)), Some(&job.id)),
        (None, Some(badge)) => (Some(labels::badge(badge)), ticket.last_job.as_ref().map(|last| &last.id)),
        (None, None) => (None, None),
    };
    Card {
        key: line(ticket.key.as_str()),
        address: ticket_url(&ticket.project, &ticket.key),
        move_address: move_url(&ticket.project, &ticket.key),
        title: title_or_key(&card.view),
        pill,
        job: job.map(|job| format!("/jobs/{job}")),
        sentence: match &card.view.waits {
            Some(waits) => Some(line(&waits.sentence())),
            None => card.job.as_ref().and_then(labels::explain_job),
        },
        pull_request: pull_request(&card.view),
        labels: card.view.text.labels.iter().take(3).map(|label| line(label)).collect(),
        moves: list_moves(ticket, statuses, own),
    }
}

/// A key may be any text. A key that a path cannot contain, or `new`, goes into the query.
pub(crate) fn ticket_url(project: &ProjectId, key: &TicketKey) -> String {
    if key.is_path_segment() && key.as_str() != "new" {
        format!("/tickets/{key}?project={project}")
    } else {
        format!("/tickets/-?project={project}&key={}", percent_encode(key.as_str()))
    }
}

pub(crate) fn move_url(project: &ProjectId, key: &TicketKey) -> String {
    ticket_url(project, key).replacen('?', "/move?", 1)
}

/// Falls back to the key if no character of the title is visible, because a link needs text.
pub(crate) fn title_or_key(view: &TicketView) -> SafeText {
    let title = line(&view.text.title);
    if title.is_empty() { line(view.ticket.key.as_str()) } else { title }
}

pub(crate) fn pull_request(view: &TicketView) -> Option<PullRequestLink> {
    let link = view.ticket.shown.pull_request.as_ref()?;
    let ended = view.pull_request.filter(|state| *state != PullRequestState::Open);
    Some(PullRequestLink {
        link: Link { address: http_url(&link.url)?, words: format!("#{}", link.id.number) },
        ended: ended.map(PullRequestState::display_name),
    })
}

/// Lists every other status, including closing ones, which have no column while empty.
pub(crate) fn list_moves(ticket: &Ticket, statuses: &[String], own: &Statuses) -> Vec<Move> {
    let closed = own.closed.iter().filter(|status| !statuses.contains(status));
    let others = statuses.iter().chain(closed).filter(|status| **status != ticket.status);
    let to_move =
        |status: &String| Move { status: status.clone(), words: line(status), starts_jobs: *status == own.trigger };
    others.map(to_move).collect()
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
