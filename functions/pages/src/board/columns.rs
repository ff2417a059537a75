//! Builds the columns of the board: all in equal parts, or one opened column with more cards.

use super::card::{Card, to_card};
use super::parts::{Hidden, MAX_CARDS, MAX_OPEN, hide_middle, hide_outside, share};
use crate::prelude::*;
use pullyard_domain::project::{Project, Settings};

/// The column that the visitor opened; its cards begin with number `from`.
pub(super) struct OpenColumn {
    pub(super) status: String,
    pub(super) from: usize,
}

pub(super) struct Column {
    /// Sent by a move; the label may differ.
    pub(super) status: String,
    pub(super) name: SafeText,
    pub(super) starts_jobs: bool,
    pub(super) accepts: bool,
    /// Describes in a few words the effect of moving a card here.
    pub(super) effect: &'static str,
    pub(super) size: usize,
    pub(super) items: Vec<Item>,
}

pub(super) enum Item {
    Card(Box<Card>),
    /// A link to cards that the page leaves out, from `key` on.
    Hidden {
        key: String,
        count: usize,
        address: String,
    },
}

pub(super) fn build_columns(
    board: (&Context, &Project, Timestamp),
    statuses: &[String],
    cards: &[control::Card],
    open: Option<&OpenColumn>,
    url: &str,
) -> Vec<Column> {
    let in_status = |status: &String| cards.iter().filter(|card| card.view.ticket.status == *status).collect();
    let columns: Vec<(&String, Vec<&control::Card>)> =
        statuses.iter().map(|status| (status, in_status(status))).collect();
    let find_open = |status: &String| open.filter(|open| open.status == *status);
    let others = columns.iter().filter(|(status, _)| find_open(status).is_none());
    let sizes: Vec<usize> = others.map(|(_, cards)| cards.len()).collect();
    let share = share(&sizes, if open.is_some() { MAX_CARDS - MAX_OPEN } else { MAX_CARDS });
    let build = |(status, cards): (&String, Vec<&control::Card>)| {
        let hidden = match find_open(status) {
            Some(open) => hide_outside(cards.len(), open.from),
            None => hide_middle(cards.len(), share),
        };
        build_column(board, status, &cards, &hidden, url)
    };
    columns.into_iter().map(build).collect()
}

fn build_column(
    (ctx, project, now): (&Context, &Project, Timestamp),
    status: &str,
    cards: &[&control::Card],
    hidden: &[Hidden],
    url: &str,
) -> Column {
    let item = |(position, card): (usize, &&control::Card)| {
        let Some(hidden) = hidden.iter().find(|hidden| hidden.range.contains(&position)) else {
            return Some(Item::Card(Box::new(to_card(ctx, card, project, now))));
        };
        (hidden.range.start == position).then(|| Item::Hidden {
            key: card.view.ticket.key.to_string(),
            count: hidden.range.len(),
            address: format!("{url}&column={}&from={}", percent_encode(status), hidden.from),
        })
    };
    let statuses = &project.settings.statuses;
    Column {
        status: status.to_owned(),
        name: line(status),
        starts_jobs: status == statuses.trigger,
        accepts: statuses.accepts(status),
        effect: describe_effect(&project.settings, status),
        size: cards.len(),
        items: cards.iter().enumerate().filter_map(item).collect(),
    }
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
