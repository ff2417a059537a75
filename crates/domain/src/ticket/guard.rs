//! The guards of a ticket event, in the published order: the first refusal decides.
//! Guards are pure functions of the facts. If a transaction finds the facts stale, the caller decides again.

use crate::project::Project;
use crate::project::budget::DailyUsage;
use crate::project::labels::check_labels;
use crate::project::spending::SpendingFact;
use crate::text::Cause;
use crate::text::decision::Reason;
use crate::text::id::JobId;
use crate::ticket::Ticket;
use crate::ticket::event::TicketEvent;
use crate::ticket::facts::{Facts, RecordedFacts, RepositoryFact};
use crate::ticket::required_labels::required_labels;

/// Returns the reason why the event may not start a job.
type TicketGuard = fn(&TicketEvent, &Facts) -> Option<Reason>;

pub const TICKET_GUARDS: [(&str, TicketGuard); 15] = [
    ("unknown_project", unknown_project),
    ("repeat", repeat),
    ("stale_event", stale_event),
    ("echo", echo),
    ("unknown_status", unknown_status),
    ("not_trigger_status", not_trigger_status),
    ("status_unchanged", status_unchanged),
    ("auto_create_off", auto_create_off),
    ("job_active", job_active),
    ("project_held", project_held),
    ("budget_exhausted", budget_exhausted),
    ("ticket_limit", ticket_limit),
    ("ticket_without_repository", ticket_without_repository),
    ("repository_not_integrated", repository_not_integrated),
    ("unusable_labels", unusable_labels),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub reason: Reason,
    pub follow_up: FollowUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowUp {
    Ignore,
    UpdateTicket,
    /// Store the ticket, and the event's text if it has one; the entry waits for the end of the active job.
    QueueEntry,
    /// Store the ticket, and the event's text if it has one; the entry waits until the project may start jobs.
    HoldEntry,
    CreateJob,
}

pub fn decide(event: &TicketEvent, facts: &Facts) -> Decision {
    let refused = TICKET_GUARDS.iter().find_map(|(_, guard)| guard(event, facts));
    let follow_up = match &refused {
        None => FollowUp::CreateJob,
        Some(Reason::UnknownProject { .. } | Reason::Repeat { .. } | Reason::StaleEvent { .. }) => FollowUp::Ignore,
        // The active job works on this entry, or the entry waits already.
        Some(Reason::JobActive { .. }) if is_known_entry(event, facts) => FollowUp::Ignore,
        Some(Reason::JobActive { .. }) => FollowUp::QueueEntry,
        Some(reason) if reason.is_project_block() => hold_entry(event, facts),
        Some(_) => FollowUp::UpdateTicket,
    };
    Decision { reason: refused.unwrap_or_else(|| accept_entry(event)), follow_up }
}

fn accept_entry(event: &TicketEvent) -> Reason {
    Reason::Accepted { job: JobId::for_entry(&event.project, &event.key, event.occurred_at, &event.event) }
}

/// Decides a waiting entry again by the guards after `status_unchanged`; the others passed when the event arrived.
pub fn decide_again(event: &TicketEvent, facts: &Facts) -> Decision {
    let mut later = TICKET_GUARDS.iter().skip_while(|(name, _)| *name != "auto_create_off");
    match later.find_map(|(_, guard)| guard(event, facts)) {
        Some(reason) if reason.is_project_block() => Decision { reason, follow_up: hold_entry(event, facts) },
        Some(reason) => Decision { reason, follow_up: FollowUp::UpdateTicket },
        None => Decision { reason: accept_entry(event), follow_up: FollowUp::CreateJob },
    }
}

pub fn decide_request(
    project: &Project,
    ticket: &Ticket,
    facts: &RepositoryFact,
    today: &DailyUsage,
    spending: Option<&SpendingFact>,
) -> Option<Reason> {
    if let Some(job) = &ticket.active_job {
        return Some(Reason::JobActive { ticket: ticket.key.clone(), job: job.clone() });
    }
    if let Some(reason) = project_block(project, today) {
        return Some(reason);
    }
    if let Some(reason) = spending.and_then(SpendingFact::refusal) {
        return Some(reason);
    }
    match facts {
        RepositoryFact::NotNamed => Some(Reason::TicketWithoutRepository { ticket: ticket.key.clone() }),
        RepositoryFact::NotConnected(repo) => {
            Some(Reason::RepositoryNotIntegrated { repo: repo.clone(), project: project.id.clone() })
        }
        RepositoryFact::Connected(_) => None,
    }
}

/// The hold or the exhausted budget because of which a project may start no job.
pub fn project_block(project: &Project, today: &DailyUsage) -> Option<Reason> {
    if let Some(holder) = &project.settings.held_by {
        return Some(Reason::ProjectHeld { project: project.id.clone(), who: holder.clone() });
    }
    project.settings.budget.refusal(&project.id, today)
}

fn hold_entry(event: &TicketEvent, facts: &Facts) -> FollowUp {
    let is_held = facts.ticket.as_ref().is_some_and(|ticket| ticket.is_entry_held(&event.entry()));
    if is_held { FollowUp::Ignore } else { FollowUp::HoldEntry }
}

pub fn record_facts(event: &TicketEvent, facts: &Facts) -> RecordedFacts {
    let settings = facts.project.as_ref().map(|project| &project.settings);
    RecordedFacts {
        decided_at: facts.now,
        occurred_at: event.occurred_at,
        actor: event.actor.clone(),
        status: event.status.clone(),
        previous_status: event.previous_status.clone(),
        status_before: status_before(event, facts).map(str::to_owned),
        seen: facts.ticket.as_ref().map(|ticket| (ticket.seen_at, ticket.seen_event.clone())),
        active_job: facts.ticket.as_ref().and_then(|ticket| ticket.active_job.clone()),
        trigger: settings.map(|settings| settings.statuses.trigger.clone()),
        auto_create: settings.map(|settings| settings.auto_create),
        held_by: settings.and_then(|settings| settings.held_by.clone()),
        repository: match &facts.repository {
            RepositoryFact::NotNamed => None,
            RepositoryFact::NotConnected(name) => Some(name.clone()),
            RepositoryFact::Connected(repository) => Some(repository.name.clone()),
        },
        spending: facts.spending.clone(),
        today: settings.filter(|settings| settings.budget.has_limit()).map(|_| facts.usage),
    }
}

/// The ticket's status before this event; for a repeated decision from the ledger, because the ticket has changed.
fn status_before<'a>(event: &TicketEvent, facts: &'a Facts) -> Option<&'a str> {
    let ticket = facts.ticket.as_ref()?;
    match &facts.first_decision {
        Some(first) if ticket.seen_event.as_ref() == Some(&event.event) => first.status_before.as_deref(),
        _ => Some(&ticket.status),
    }
}

/// Whether the event waits already or created the active job. An event refused during the job waits if sent again.
fn is_known_entry(event: &TicketEvent, facts: &Facts) -> bool {
    facts.ticket.as_ref().is_some_and(|ticket| {
        let is_waiting = ticket.again.as_ref().is_some_and(|entry| entry.event == event.event);
        let was_found_in = ticket.found_in.as_ref() == Some(&event.status);
        ticket.seen_event.as_ref() == Some(&event.event) && (is_waiting || was_found_in)
    })
}

fn unknown_project(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    facts.project.is_none().then(|| Reason::UnknownProject { project: event.project.clone() })
}

/// The event has a final decision. The first guard, because a redelivery would see its own job as `job_active`.
fn repeat(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    let first = facts.first_decision.as_ref().filter(|first| first.reason.is_final()).map(|first| first.reason.code());
    let is_last_entry = facts.ticket.as_ref().and_then(|ticket| ticket.last_entry.as_ref()) == Some(&event.entry());
    first.or(is_last_entry.then_some("accepted")).map(|first| Reason::Repeat { first: first.into() })
}

/// The event is older than the stored ticket. Equal times are not stale, because some tools send whole seconds. A
/// repeat is also stale if Pullyard has moved the ticket since, and a move on the board that its user has withdrawn.
fn stale_event(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    let ticket = facts.ticket.as_ref()?;
    let is_move = ticket.status != event.status;
    let moved_on = is_move && ticket.seen_event.as_ref() == Some(&event.event);
    let has_tool = facts.project.as_ref().is_some_and(|project| ticket.tool(&project.settings).is_some());
    let is_request = is_move && has_tool && !event.source.is_external();
    let is_withdrawn = is_request && ticket.wanted.event.as_ref() != Some(&event.event);
    (event.occurred_at < ticket.seen_at || moved_on || is_withdrawn)
        .then(|| Reason::StaleEvent { ticket: event.key.clone(), time: ticket.seen_at })
}

/// The event was caused by Pullyard's own write: its actor is our account, or it is the first event with the status
/// that we wrote or are writing. The built-in board sends no such events. The tool's confirmation of a user's move on the board counts.
fn echo(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    let ticket = facts.ticket.as_ref();
    if !event.source.is_external() || ticket.and_then(Ticket::requested_status) == Some(event.status.as_str()) {
        return None;
    }
    let own_account = facts.project.as_ref().and_then(|project| project.settings.tool_account.as_ref());
    let is_own = event.is_own || own_account.is_some() && event.actor.as_ref() == own_account;
    let statuses = facts.project.as_ref().map(|project| &project.settings.statuses);
    let is_entry = statuses.is_some_and(|statuses| statuses.trigger == event.status);
    let is_written = |ticket: &Ticket| {
        let status = Some(&event.status);
        ticket.written.as_ref() == status
            || ticket.written_trigger.as_ref() == status
            || is_entry && ticket.is_retry_unsynced()
    };
    (is_own || ticket.is_some_and(is_written)).then_some(Reason::Echo {})
}

/// The ticket tool reports a status that the project does not accept. Status and text are stored nevertheless, because
/// the tool owns them: a user's move still wins over the end of a job. The board refuses such a status before its event.
fn unknown_status(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    let project = facts.project.as_ref().filter(|_| event.source.is_external())?;
    let (statuses, status) = (&project.settings.statuses, &event.status);
    let nearest = statuses.find_nearest_column(status).unwrap_or(&statuses.trigger);
    (!statuses.accepts(status)).then(|| Reason::UnknownStatus {
        status: status.clone(),
        project: event.project.clone(),
        columns: statuses.columns.join(", "),
        nearest: nearest.to_owned(),
    })
}

fn not_trigger_status(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    let trigger = &facts.project.as_ref()?.settings.statuses.trigger;
    (event.status != *trigger)
        .then(|| Reason::NotTriggerStatus { status: event.status.clone(), trigger: trigger.clone() })
}

/// Only a change into the trigger status starts a job, not an edit within it.
fn status_unchanged(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    (status_before(event, facts) == Some(event.status.as_str()))
        .then(|| Reason::StatusUnchanged { ticket: event.key.clone(), status: event.status.clone() })
}

fn auto_create_off(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    let is_on = facts.project.as_ref()?.settings.auto_create;
    (!is_on).then(|| Reason::AutoCreateOff { project: event.project.clone() })
}

fn job_active(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    let job = facts.ticket.as_ref()?.active_job.clone()?;
    Some(Reason::JobActive { ticket: event.key.clone(), job })
}

fn project_held(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    let holder = facts.project.as_ref()?.settings.held_by.clone()?;
    Some(Reason::ProjectHeld { project: event.project.clone(), who: holder })
}

fn budget_exhausted(_: &TicketEvent, facts: &Facts) -> Option<Reason> {
    let project = facts.project.as_ref()?;
    project.settings.budget.refusal(&project.id, &facts.usage)
}

fn ticket_limit(_: &TicketEvent, facts: &Facts) -> Option<Reason> {
    facts.spending.as_ref()?.refusal()
}

fn ticket_without_repository(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    matches!(facts.repository, RepositoryFact::NotNamed)
        .then(|| Reason::TicketWithoutRepository { ticket: event.key.clone() })
}

fn repository_not_integrated(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    match &facts.repository {
        RepositoryFact::NotConnected(repo) => {
            Some(Reason::RepositoryNotIntegrated { repo: repo.clone(), project: event.project.clone() })
        }
        _ => None,
    }
}

/// Fargate ignores labels.
fn unusable_labels(event: &TicketEvent, facts: &Facts) -> Option<Reason> {
    let RepositoryFact::Connected(repository) = &facts.repository else { return None };
    let settings = &facts.project.as_ref()?.settings;
    let fault = check_labels(&required_labels(settings, repository, None, &facts.labels)).err()?;
    let reason = || Reason::UnusableLabels { ticket: event.key.clone(), fault: Cause(fault) };
    settings.compute.uses_runners().then(reason)
}

#[cfg(test)]
mod tests;
