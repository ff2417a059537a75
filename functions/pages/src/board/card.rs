//! Builds a ticket's card, and the links and moves that the card shares with the ticket's page.

use crate::labels::PullRequestView;
use crate::prelude::*;
use pullyard_control::{JobView, TicketView};
use pullyard_domain::id::{RepositoryName, TicketKey};
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::Statuses;
use pullyard_domain::pull_request::PullRequestState;
use pullyard_domain::ticket::Ticket;

const MAX_LABELS: usize = 3;
const MAX_FACT_CHARS: usize = 120;

pub(crate) struct Card {
    pub(crate) id: String,
    pub(crate) key: SafeText,
    pub(crate) repository: Option<SafeText>,
    pub(crate) address: String,
    pub(crate) title: SafeText,
    pub(crate) badge: Option<(Pill, Option<String>)>,
    pub(crate) pull_request: Option<PullRequestView>,
    pub(crate) labels: Vec<SafeText>,
    pub(crate) more_labels: usize,
    pub(crate) job: Option<JobLine>,
    pub(crate) wait: Option<SafeText>,
    pub(crate) raw_key: String,
}

pub(crate) struct JobLine {
    pub(crate) address: String,
    pub(crate) pill: Pill,
    pub(crate) fact: SafeText,
    pub(crate) took: String,
}

pub(crate) struct Move {
    pub(crate) status: String,
    pub(crate) label: SafeText,
    pub(crate) starts_jobs: bool,
}

pub(super) fn to_card(card: &control::Card, project: &Project) -> Card {
    let ticket = &card.view.ticket;
    let labels = &card.view.text.labels;
    let active = card.job.as_ref().filter(|view| !view.job.status.is_terminal());
    let badge = ticket.shown.badge.filter(|_| active.is_none());
    Card {
        id: format!("card-{}", percent_encode(ticket.key.as_str())),
        key: line(ticket.key.as_str()),
        repository: repository(&card.view, project).map(|name| line(name.as_str())),
        address: ticket_url(&ticket.project, &ticket.key),
        title: title_or_key(&card.view),
        badge: badge
            .map(|badge| (labels::badge(badge), ticket.last_job.as_ref().map(|last| format!("/jobs/{}", last.id)))),
        pull_request: pull_request(&card.view),
        labels: labels.iter().take(MAX_LABELS).map(|label| line(label)).collect(),
        more_labels: labels.len().saturating_sub(MAX_LABELS),
        job: active.map(job_line),
        wait: match &card.view.waits {
            Some(waits) => Some(line(&waits.sentence())),
            None => card.job.as_ref().filter(|view| !has_question(view)).and_then(labels::explain_job),
        },
        raw_key: ticket.key.to_string(),
    }
}

fn has_question(view: &JobView) -> bool {
    view.job.status == JobStatus::AwaitingInput && view.job.question.is_some()
}

fn job_line(view: &JobView) -> JobLine {
    let JobView { job, revises, now, .. } = view;
    let fact = match (job.status, &job.question, revises) {
        (JobStatus::AwaitingInput, Some(question), _) => question.text.chars().take(MAX_FACT_CHARS).collect(),
        (JobStatus::Syncing, ..) => job.branch.clone(),
        (_, _, Some(of)) => format!("revises #{}", of.number),
        _ if job.attempt > 1 => format!("attempt {}", job.attempt),
        _ => String::new(),
    };
    JobLine {
        address: format!("/jobs/{}", job.id),
        pill: labels::pill(job.status),
        fact: line(&fact),
        took: labels::job_duration(job, *now),
    }
}

pub(crate) fn repository<'a>(view: &'a TicketView, project: &'a Project) -> Option<&'a RepositoryName> {
    view.text.repository.as_ref().or(project.settings.default_repository.as_ref())
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

pub(crate) fn pull_request(view: &TicketView) -> Option<PullRequestView> {
    let link = view.ticket.shown.pull_request.as_ref()?;
    PullRequestView::new(&link.url, link.id.number, view.pull_request.unwrap_or(PullRequestState::Open))
}

pub(crate) fn list_moves(ticket: &Ticket, statuses: &[String], own: &Statuses) -> Vec<Move> {
    let others = statuses.iter().filter(|status| **status != ticket.status && own.accepts(status));
    others.map(|status| Move::to(status, own)).collect()
}

impl Move {
    pub(crate) fn to(status: &str, own: &Statuses) -> Self {
        Self { status: status.to_owned(), label: line(status), starts_jobs: status == own.trigger }
    }
}
