//! The board: a column per status and a card per ticket.

mod card;
mod filter;
mod parts;

pub(crate) use card::{
    Link, Move, PullRequestLink, list_moves, move_url, pull_request, repository, ticket_url, title_or_key,
};

use crate::assets;
use crate::hold::HoldView;
use crate::prelude::*;
use crate::verdict::{self, DecisionLine};
use card::{Card, to_card};
use filter::Filter;
use parts::{MAX_CARDS, MAX_OPEN, hide_middle, hide_outside, share};
use pullyard_domain::id::DeliveryId;
use pullyard_domain::project::{Settings, Statuses};
use pullyard_domain::ticket::Ticket;
use std::collections::BTreeSet;

const PAGE_SIZE: i32 = 200;

#[derive(Deserialize)]
pub(crate) struct BoardQuery {
    project: Option<ProjectId>,
    after: Option<String>,
    said: Option<DeliveryId>,
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
    /// The address of the board with all columns alike, if one is open.
    whole: Option<String>,
    refresh: u32,
    once: String,
    script: &'static str,
}

struct Column {
    /// Sent by a move; the label may differ.
    status: String,
    name: SafeText,
    starts_jobs: bool,
    accepts: bool,
    /// What a card's move to the column does, in few words.
    effect: &'static str,
    size: usize,
    items: Vec<Item>,
}

enum Item {
    Card(Box<Card>),
    /// A link to cards that the page leaves out; `key` is the first of them.
    Hidden {
        key: String,
        count: usize,
        address: String,
    },
}

pub(crate) async fn show(
    visit: PageContext,
    Query(BoardQuery { project, after, said: delivery, column: open, from, filter }): Query<BoardQuery>,
) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(project).await? else { return Ok(redirect_to_start()) };
    let view = control::load_board(&visit.ctx, &project.id, after.as_deref(), PAGE_SIZE).await?;
    let repositories = visit.ctx.store.list_repositories(&project.id).await?;
    let statuses = list_statuses(&project.settings.statuses, view.cards.iter().map(|card| &card.view.ticket));
    let labels = view.cards.iter().flat_map(|card| card.view.text.labels.iter().cloned());
    let labels = labels.chain(Some(filter.label.clone()).filter(|label| !label.is_empty())).collect();
    let mut cards = view.cards;
    cards.retain(|card| filter.matches(&card.view, repository(&card.view, &project)));
    cards.sort_by(|one, other| one.view.ticket.card_order().cmp(&other.view.ticket.card_order()));
    let page = after.as_deref().map(|after| format!("&after={}", percent_encode(after))).unwrap_or_default();
    let address = format!("/board?project={}{page}{}", project.id, filter.to_query());
    let of = |status: &String| cards.iter().filter(|card| card.view.ticket.status == *status).collect::<Vec<_>>();
    let columns: Vec<_> = statuses.iter().map(|status| (status, of(status))).collect();
    let is_open = |status: &String| open.as_ref() == Some(status);
    let others: Vec<_> = columns.iter().filter(|(status, _)| !is_open(status)).map(|(_, own)| own.len()).collect();
    let share = share(&others, if others.len() < columns.len() { MAX_CARDS - MAX_OPEN } else { MAX_CARDS });
    let column = |(status, own): &(&String, Vec<&control::Card>)| {
        let hidden = if is_open(status) { hide_outside(own.len(), from) } else { hide_middle(own.len(), share) };
        let item = |(at, card): (usize, &&control::Card)| {
            let Some(hidden) = hidden.iter().find(|hidden| hidden.range.contains(&at)) else {
                return Some(Item::Card(Box::new(to_card(card, &project))));
            };
            (hidden.range.start == at).then(|| Item::Hidden {
                key: card.view.ticket.key.to_string(),
                count: hidden.range.len(),
                address: format!("{address}&column={}&from={}", percent_encode(status), hidden.from),
            })
        };
        Column {
            status: (*status).clone(),
            name: line(status),
            starts_jobs: **status == project.settings.statuses.trigger,
            accepts: project.settings.statuses.accepts(status),
            effect: describe_effect(&project.settings, status),
            size: own.len(),
            items: own.iter().enumerate().filter_map(item).collect(),
        }
    };
    let board = Board {
        refresh: labels::refresh_ms(cards.iter().any(|card| card.view.ticket.active_job.is_some())),
        frame: visit.frame(&format!("Board of {}", project.name), "board", Some(&project.id)),
        may_work: visit.visitor.may_run_jobs(),
        may_administer: visit.visitor.may_administer(),
        held: HoldView::from_settings(&project.settings),
        said: verdict::load_decision_line(&visit, &project.id, delivery.as_ref()).await?,
        columns: columns.iter().map(column).collect(),
        empty: cards.is_empty() && (after.is_none() || !filter.is_empty()),
        later: after.is_some(),
        next: view.next.map(|next| format!("/board?project={}&after={next}{}", project.id, filter.to_query())),
        repositories: repositories.iter().map(|repository| repository.name.to_string()).collect(),
        labels,
        project: project.id.to_string(),
        once: new_form_key(),
        whole: (others.len() < columns.len()).then_some(address),
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
