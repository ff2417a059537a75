//! Tests the guards that apply to second entries and to requests of users.

use super::*;
use crate::fixtures::REVIEW;
use crate::project::budget::Day;

#[test]
fn second_entry_meets_only_the_later_guards() {
    for (name, change) in CONDITIONS {
        let case = accepted_entry().with(change);
        let decision = decide_again(&case.event, &case.facts);
        let later_guards = [
            "auto_create_off",
            "job_active",
            "ticket_limit",
            "ticket_without_repository",
            "repository_not_integrated",
            "unusable_labels",
        ];
        let (code, follow) = match name {
            "project_held" | "budget_exhausted" => (name, FollowUp::HoldEntry),
            name if later_guards.contains(&name) => (name, FollowUp::UpdateTicket),
            _ => ("accepted", FollowUp::CreateJob),
        };
        assert_eq!((decision.reason.code(), decision.follow_up), (code, follow), "{name}");
    }
    let case = accepted_entry();
    let job = JobId::for_entry(&project_id(), &key(), time_at(500), &event_id("e1"));
    assert_eq!(decide_again(&case.event, &case.facts).reason, Reason::Accepted { job });
}

#[track_caller]
fn check_request(ticket: &Ticket, held_by: Option<&str>, fact: &RepositoryFact, code: Option<&str>) {
    let mut project = project();
    project.settings.held_by = held_by.map(str::to_owned);
    let reason = decide_request(&project, ticket, fact, &DailyUsage::zero(Day::containing(time_at(0))), None);
    assert_eq!(reason.as_ref().map(Reason::code), code);
}

#[test]
fn request_meets_the_job_hold_and_repository_guards() {
    let free = ticket_in(IN_PROGRESS);
    let busy = Ticket { active_job: Some(job_id("j0")), ..free.clone() };
    let connected = RepositoryFact::Connected(Box::new(repository()));
    let foreign = RepositoryFact::NotConnected(other_repository());
    check_request(&busy, Some("ann"), &RepositoryFact::NotNamed, Some("job_active"));
    check_request(&busy, None, &connected, Some("job_active"));
    check_request(&free, Some("ann"), &RepositoryFact::NotNamed, Some("project_held"));
    check_request(&free, Some("ann"), &connected, Some("project_held"));
    check_request(&free, None, &RepositoryFact::NotNamed, Some("ticket_without_repository"));
    check_request(&free, None, &foreign, Some("repository_not_integrated"));
    check_request(&free, None, &connected, None);
}

#[test]
fn request_checks_the_budget_after_hold_before_repository() {
    let mut project = project();
    project.settings.budget.jobs_per_day = Some(3);
    let today = with_jobs_today(3).facts.usage;
    let (free, unnamed) = (ticket_in(IN_PROGRESS), RepositoryFact::NotNamed);
    assert_eq!(decide_request(&project, &free, &unnamed, &today, None), Some(job_budget_exhausted()));
    let busy = Ticket { active_job: Some(job_id("j0")), ..free.clone() };
    assert_eq!(decide_request(&project, &busy, &unnamed, &today, None).unwrap().code(), "job_active");
    project.settings.held_by = Some("ann".into());
    assert_eq!(decide_request(&project, &free, &unnamed, &today, None).unwrap().code(), "project_held");
}

#[test]
fn request_ignores_status_and_auto_create() {
    let mut project = project();
    project.settings.auto_create = false;
    let connected = RepositoryFact::Connected(Box::new(repository()));
    for status in [TODO, TRIGGER, REVIEW, IN_PROGRESS] {
        let today = DailyUsage::zero(Day::containing(time_at(0)));
        assert_eq!(decide_request(&project, &ticket_in(status), &connected, &today, None), None, "{status}");
    }
}

#[test]
fn event_stored_before_the_job_is_no_second_entry() {
    let mut case = accepted_entry();
    let ticket = case.facts.ticket.as_mut().unwrap();
    ticket.active_job = Some(crate::fixtures::job_id("requested"));
    ticket.status = TRIGGER.into();
    ticket.seen_event = Some(case.event.event.clone());
    ticket.seen_at = case.event.occurred_at;
    ticket.found_in = Some(TRIGGER.into());
    case.facts.first_decision = first_answer(auto_create_off(), Some(TODO));
    check(&case, "job_active", FollowUp::Ignore);

    case.facts.ticket.as_mut().unwrap().found_in = Some(TODO.into());
    check(&case, "job_active", FollowUp::QueueEntry);
    case.facts.ticket.as_mut().unwrap().again = Some(case.event.entry());
    check(&case, "job_active", FollowUp::Ignore);
}

#[test]
fn request_checks_the_limit_after_budget_before_repository() {
    let mut project = project();
    let (free, today) = (ticket_in(IN_PROGRESS), with_jobs_today(3).facts.usage);
    let decide = |project: &Project| {
        let reason = decide_request(project, &free, &RepositoryFact::NotNamed, &today, Some(&spent_fact()));
        reason.map(|reason| reason.code())
    };
    assert_eq!(decide(&project), Some("ticket_limit"));
    project.settings.budget.jobs_per_day = Some(3);
    assert_eq!(decide(&project), Some("budget_exhausted"));
}
