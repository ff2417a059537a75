//! Builds a ticket's card, and the links and moves that the card shares with the ticket's page.

use crate::labels::PullRequestView;
use crate::markdown;
use crate::prelude::*;
use pullyard_control::{JobView, TicketView};
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::Statuses;
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::text::Span;
use pullyard_domain::text::id::{RepositoryName, TicketKey};
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
    /// How a review waits that a user may start now, and a key for that.
    pub(crate) review: Option<(String, String)>,
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

pub(super) fn to_card(ctx: &Context, card: &control::Card, project: &Project, now: Timestamp) -> Card {
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
            .map(|badge| (labels::badge(badge), card.job.as_ref().map(|view| format!("/jobs/{}", view.job.id)))),
        pull_request: pull_request(ctx, &card.view),
        labels: labels.iter().take(MAX_LABELS).map(|label| line(label)).collect(),
        more_labels: labels.len().saturating_sub(MAX_LABELS),
        job: active.map(job_line),
        wait: match (&card.view.sync_note, &card.view.waits) {
            (Some(note), Some(waits)) => Some(line(&format!("{} {note}", waits.sentence()))),
            (Some(note), None) => Some(line(note)),
            (None, Some(waits)) => Some(line(&waits.sentence())),
            (None, None) => card.job.as_ref().filter(|view| !has_question(view)).and_then(labels::explain_job),
        },
        review: active.is_none().then(|| waiting_review(ticket, now)).flatten(),
        raw_key: ticket.key.to_string(),
    }
}

/// A review that waits for the end of its pull request's hour.
fn waiting_review(ticket: &Ticket, now: Timestamp) -> Option<(String, String)> {
    let link = ticket.pull_request.as_ref()?;
    let opens_at = ticket.deferred.get(&link.id.to_string()).filter(|opens_at| **opens_at > now)?;
    let sentence = format!("A review waits; its job may start in {}.", Span::from(opens_at.since(now)));
    // A second click is the same request.
    Some((sentence, format!("start-{}-{}", link.id.number, opens_at.millis())))
}

fn has_question(view: &JobView) -> bool {
    view.job.status == JobStatus::AwaitingInput && view.job.question.is_some()
}

fn job_line(view: &JobView) -> JobLine {
    let JobView { job, revises, now, .. } = view;
    let fact = match (job.status, &job.question, revises) {
        (JobStatus::AwaitingInput, Some(question), _) => {
            markdown::to_words(&question.text).chars().take(MAX_FACT_CHARS).collect()
        }
        (JobStatus::Syncing, ..) => job.branch.clone(),
        (_, _, Some(of)) => format!("revises #{}", of.number),
        _ if job.attempt > 1 => format!("attempt {}", job.attempt),
        _ => String::new(),
    };
    JobLine {
        address: format!("/jobs/{}", job.id),
        pill: labels::job_pill(job),
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

pub(crate) fn pull_request(ctx: &Context, view: &TicketView) -> Option<PullRequestView> {
    let link = view.ticket.shown.pull_request.as_ref()?;
    PullRequestView::new(ctx, &link.id, &link.url, view.pull_request.unwrap_or(PullRequestState::Open))
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
