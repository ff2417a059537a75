//! Describes the guards of a recorded decision for users: in order, each with the fact that it read.

use crate::project::budget::format_usd;
use crate::project::spending::SpendingFact;
use crate::review::delivery::Delivery;
use crate::review::facts::ReviewFacts;
use crate::review::guard::review_guards;
use crate::review::published::short_commit;
use crate::text::decision::Reason;
use crate::text::format_count;
use crate::ticket::facts::RecordedFacts;
use crate::ticket::guard::TICKET_GUARDS;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardStep {
    pub title: &'static str,
    /// The fact that it read, as a sentence; `None` if the decision did not store one.
    pub fact: Option<String>,
    pub result: GuardResult,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardResult {
    Passed,
    Stopped,
    NotEvaluated,
}

/// Empty for deliveries without guards, such as an invalid signature or a request for a job.
pub fn guard_steps(delivery: &Delivery) -> Vec<GuardStep> {
    let review = delivery.review.as_ref().and_then(|subject| subject.facts.as_deref());
    match (review, &delivery.facts) {
        (Some(facts), _) => {
            let names = review_guards(&facts.asks).iter().map(|(name, _)| *name);
            to_steps(names, &delivery.reason, |name| review_fact(name, facts))
        }
        (None, Some(facts)) if delivery.review.is_none() => {
            to_steps(TICKET_GUARDS.iter().map(|(name, _)| *name), &delivery.reason, |name| ticket_fact(name, facts))
        }
        _ => Vec::new(),
    }
}

fn to_steps(
    guards: impl Iterator<Item = &'static str>,
    reason: &Reason,
    fact: impl Fn(&str) -> Option<String>,
) -> Vec<GuardStep> {
    let stopped_by = stopping_guard(reason);
    let mut result = GuardResult::Passed;
    guards
        .map(|name| {
            if result == GuardResult::Stopped {
                result = GuardResult::NotEvaluated;
            } else if stopped_by == Some(name) {
                result = GuardResult::Stopped;
            }
            let fact = match result {
                GuardResult::Stopped => Some(reason.sentence()),
                GuardResult::Passed => fact(name),
                GuardResult::NotEvaluated => None,
            };
            GuardStep { title: title(name), fact, result }
        })
        .collect()
}

/// Most guards have the name of their reason's code.
fn stopping_guard(reason: &Reason) -> Option<&'static str> {
    match reason {
        Reason::Accepted { .. } | Reason::HeldWithOthers { .. } => None,
        Reason::HeldForJob { .. } => Some("job_active"),
        Reason::HeldUntil { .. } => Some("rate_limited"),
        Reason::PermissionUnknown { .. } => Some("author_not_permitted"),
        // The only ignored review that reached the guards has a job in another project.
        Reason::EventIgnored { .. } => Some("duplicate_review"),
        other => Some(other.code()),
    }
}

fn title(guard: &str) -> &'static str {
    match guard {
        "unknown_project" => "The project exists",
        "repeat" => "The event is new",
        "stale_event" => "No newer change of the ticket is known",
        "echo" => "Pullyard did not make the change itself",
        "unknown_status" => "The project accepts the status",
        "not_trigger_status" => "The status starts jobs",
        "status_unchanged" => "The ticket entered the status",
        "auto_create_off" => "Automatic jobs are on",
        "job_active" => "The ticket has no active job",
        "project_held" => "The project is not on hold",
        "budget_exhausted" => "The daily budget is available",
        "ticket_limit" => "The limits of the ticket have room",
        "ticket_without_repository" => "The ticket has a repository",
        "repository_not_integrated" => "The repository is connected",
        "unusable_labels" => "A runner can have the labels that the job requires",
        "duplicate_review" => "The review has not started a job yet",
        "own_review" => "Pullyard did not write the review itself",
        "pull_request_closed" => "The pull request is open",
        "author_not_permitted" => "The author may start jobs",
        "unknown_command" => "A comment is a known command",
        "retrigger_disabled" => "Revising on review is on",
        "no_linked_ticket" => "The pull request is linked to a ticket",
        "ticket_inactive" => "The ticket is open",
        "previous_job_not_completed" => "The previous job completed",
        "rate_limited" => "At most one revision per hour",
        "fork_not_supported" => "The pull request is not from a fork",
        "review_running" => "No other job reviews it",
        "already_reviewed" => "The newest commit was not reviewed yet",
        _ => "Another condition",
    }
}

fn ticket_fact(guard: &str, facts: &RecordedFacts) -> Option<String> {
    Some(match guard {
        "stale_event" => match &facts.seen {
            Some((at, _)) => format!("The newest change before it was at {at}."),
            None => "No earlier change was known.".into(),
        },
        "not_trigger_status" => format!("The ticket moved to {}.", facts.status),
        "status_unchanged" => match &facts.status_before {
            Some(before) => format!("It was in {before} before."),
            None => "It was not known before.".into(),
        },
        "job_active" => format_active_job(facts.active_job.as_ref()),
        "budget_exhausted" => format_usage(facts.today.as_ref()?),
        "ticket_limit" => format_spending(facts.spending.as_ref()?),
        "ticket_without_repository" | "repository_not_integrated" => format!("{}.", facts.repository.as_ref()?),
        _ => return None,
    })
}

fn review_fact(guard: &str, facts: &ReviewFacts) -> Option<String> {
    let ticket = facts.ticket.as_ref();
    Some(match guard {
        "repository_not_integrated" => format!("{}.", facts.repository),
        "own_review" => format!("{} wrote it.", facts.author),
        "author_not_permitted" => format!("{} has write access to {}.", facts.author, facts.repository),
        "no_linked_ticket" | "ticket_inactive" => format!("{}.", ticket?.key),
        "job_active" => format_active_job(ticket?.active_job.as_ref()),
        "rate_limited" => match &facts.revised {
            Some(last) => format!("The last revision started at {}.", last.at),
            None => "There was no revision before.".into(),
        },
        "review_running" => format_active_job(facts.agent_review.as_ref()?.active_job.as_ref()),
        "already_reviewed" => match &facts.agent_review.as_ref()?.last {
            Some((job, head)) => format!("Job {} reviewed {}.", job.short(), short_commit(head)),
            None => "There was no review before.".into(),
        },
        "budget_exhausted" => format_usage(&facts.today),
        "ticket_limit" => format_spending(facts.spending.as_ref()?),
        _ => return None,
    })
}

fn format_active_job(job: Option<&crate::text::id::JobId>) -> String {
    job.map_or_else(|| "There was none.".into(), |job| format!("Job {} was active.", job.short()))
}

fn format_usage(today: &crate::project::budget::DailyUsage) -> String {
    format!("{} jobs and {} were used on that day.", today.jobs, format_usd(today.taken_usd_micros))
}

fn format_spending(fact: &SpendingFact) -> String {
    format!("{} and {} were used.", format_count(fact.jobs, "job"), format_usd(fact.taken_usd_micros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{TRIGGER, event, facts, job_id, key, project_id, time_at};
    use crate::review::delivery::Source;
    use crate::review::guard::{AGENT_REVIEW_GUARDS, REVIEW_GUARDS};
    use crate::text::id::DeliveryId;
    use crate::ticket::guard::{decide, record_facts};

    fn delivery(reason: Reason) -> Delivery {
        let event = event("e1", TRIGGER, 0);
        let id = DeliveryId::for_ticket_event(&project_id(), &event.event);
        Delivery {
            ticket: Some(event.key.clone()),
            facts: Some(record_facts(&event, &facts(None))),
            ..Delivery::new(id, project_id(), Source::Board, event.event, time_at(0), reason)
        }
    }

    #[test]
    fn every_guard_has_a_title() {
        let reviews = REVIEW_GUARDS.iter().chain(&AGENT_REVIEW_GUARDS).map(|(name, _)| *name);
        let names = TICKET_GUARDS.iter().map(|(name, _)| *name).chain(reviews);
        for name in names {
            assert_ne!(title(name), "Another condition", "{name}");
        }
    }

    #[test]
    fn guards_after_the_deciding_one_are_not_evaluated() {
        let steps = guard_steps(&delivery(Reason::JobActive { ticket: key(), job: job_id("j1") }));
        let at = TICKET_GUARDS.iter().position(|(name, _)| *name == "job_active").unwrap();
        for (index, step) in steps.iter().enumerate() {
            let expected = match index.cmp(&at) {
                std::cmp::Ordering::Less => GuardResult::Passed,
                std::cmp::Ordering::Equal => GuardResult::Stopped,
                std::cmp::Ordering::Greater => GuardResult::NotEvaluated,
            };
            assert_eq!(step.result, expected, "{}", step.title);
        }
    }

    #[test]
    fn accepted_event_passed_every_guard() {
        let decision = decide(&event("e1", TRIGGER, 0), &facts(None));
        let steps = guard_steps(&delivery(decision.reason));
        assert_eq!(steps.len(), TICKET_GUARDS.len());
        assert!(steps.iter().all(|step| step.result == GuardResult::Passed), "{steps:?}");
        let connected = steps.iter().find(|step| step.title == "The repository is connected").unwrap();
        assert_eq!(connected.fact.as_deref(), Some("acme/app."));
    }
}
