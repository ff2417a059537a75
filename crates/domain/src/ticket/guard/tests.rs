mod later_guards;
mod repeats;

use super::*;
use crate::fixtures::{
    IN_PROGRESS, TODO, TRIGGER, entry, event, event_id, facts, job_id, key, project, project_id, repository,
    spent_fact, ticket_in, time_at,
};
use crate::project::Compute;
use crate::review::delivery::Source;
use crate::text::id::RepositoryName;
use crate::ticket::Ticket;
use crate::ticket::facts::FirstDecision;

#[derive(Clone, Debug)]
struct Case {
    event: TicketEvent,
    facts: Facts,
}

impl Case {
    fn with(&self, change: impl FnOnce(&mut Case)) -> Case {
        let mut case = self.clone();
        change(&mut case);
        case
    }

    fn ticket_mut(&mut self) -> &mut Ticket {
        self.facts.ticket.as_mut().unwrap()
    }

    fn settings_mut(&mut self) -> &mut crate::project::Settings {
        &mut self.facts.project.as_mut().unwrap().settings
    }
}

/// A known ticket moves from Todo to the trigger status, and every guard passes.
fn accepted_entry() -> Case {
    Case { event: event("e1", TRIGGER, 500), facts: facts(Some(ticket_in(TODO))) }
}

fn first_answer(reason: Reason, status_before: Option<&str>) -> Option<FirstDecision> {
    Some(FirstDecision { reason, status_before: status_before.map(str::to_owned), at: crate::fixtures::time_at(0) })
}

fn auto_create_off() -> Reason {
    Reason::AutoCreateOff { project: project_id() }
}

/// Entry `e1` was refused because auto-create was off. Its snapshot is stored, and auto-create is on now.
fn redelivery() -> Case {
    accepted_entry().with(|case| {
        case.facts.first_decision = first_answer(auto_create_off(), Some(TODO));
        case.ticket_mut().status = TRIGGER.into();
        case.ticket_mut().seen_at = time_at(500);
        case.ticket_mut().seen_event = Some(event_id("e1"));
    })
}

fn other_repository() -> RepositoryName {
    RepositoryName::new("acme/other").unwrap()
}

type Change = fn(&mut Case);

/// A change per guard that makes it refuse. `not_trigger_status` is first and `unknown_project` last, because other
/// changes read the values that these two set.
const CONDITIONS: [(&str, Change); 15] = [
    ("not_trigger_status", |case| case.event.status = IN_PROGRESS.into()),
    ("repeat", |case| {
        case.facts.first_decision = first_answer(Reason::Accepted { job: job_id("j0") }, None);
    }),
    ("stale_event", |case| case.ticket_mut().seen_at = time_at(501)),
    ("echo", |case| case.ticket_mut().written = Some(case.event.status.clone())),
    ("unknown_status", |case| {
        let status = case.event.status.clone();
        case.settings_mut().statuses.columns.retain(|column| *column != status);
    }),
    ("status_unchanged", |case| case.ticket_mut().status = case.event.status.clone()),
    ("auto_create_off", |case| case.settings_mut().auto_create = false),
    ("job_active", |case| case.ticket_mut().active_job = Some(job_id("j0"))),
    ("project_held", |case| case.settings_mut().held_by = Some("ann".into())),
    ("budget_exhausted", |case| {
        case.settings_mut().budget.jobs_per_day = Some(3);
        case.facts.usage.jobs = 3;
    }),
    ("ticket_limit", |case| case.facts.spending = Some(spent_fact())),
    ("ticket_without_repository", |case| {
        case.facts.repository = RepositoryFact::NotNamed;
    }),
    ("repository_not_integrated", |case| {
        case.facts.repository = RepositoryFact::NotConnected(other_repository());
    }),
    ("unusable_labels", |case| {
        case.settings_mut().compute = Compute::Runners;
        case.facts.labels = (0..11).map(|n| format!("label-{n}")).collect();
    }),
    ("unknown_project", |case| case.facts.project = None),
];

fn guard_names() -> Vec<&'static str> {
    TICKET_GUARDS.iter().map(|(name, _)| *name).collect()
}

fn refuses(name: &str, case: &Case) -> bool {
    let (_, guard) = TICKET_GUARDS.iter().find(|(guard, _)| *guard == name).unwrap();
    guard(&case.event, &case.facts).is_some()
}

#[track_caller]
fn check(case: &Case, code: &str, follow: FollowUp) {
    let decision = decide(&case.event, &case.facts);
    assert_eq!((decision.reason.code(), decision.follow_up), (code, follow), "{case:#?}");
}

#[track_caller]
fn check_single_guard(case: &Case, reason: Reason, follow: FollowUp) {
    let decision = decide(&case.event, &case.facts);
    assert_eq!(decision, Decision { reason, follow_up: follow });
    let firing: Vec<_> = guard_names().into_iter().filter(|name| refuses(name, case)).collect();
    assert_eq!(firing, [decision.reason.code()], "another guard refused too");
}

#[track_caller]
fn check_accepted(case: &Case) {
    check(case, "accepted", FollowUp::CreateJob);
}

#[test]
fn guards_are_in_the_published_order() {
    assert_eq!(
        guard_names().join(" "),
        "unknown_project repeat stale_event echo unknown_status not_trigger_status status_unchanged auto_create_off job_active project_held budget_exhausted ticket_limit ticket_without_repository repository_not_integrated unusable_labels",
    );
}

#[test]
fn entry_that_passes_all_guards_gets_its_job() {
    let case = accepted_entry();
    let job = JobId::for_entry(&project_id(), &key(), time_at(500), &event_id("e1"));
    assert_eq!(
        decide(&case.event, &case.facts),
        Decision { reason: Reason::Accepted { job }, follow_up: FollowUp::CreateJob }
    );
}

#[test]
fn first_of_any_set_of_conditions_decides() {
    for subset in 1u32..1 << CONDITIONS.len() {
        let picked: Vec<_> = (0..CONDITIONS.len()).filter(|n| subset >> n & 1 == 1).map(|n| CONDITIONS[n]).collect();
        let has = |name: &str| picked.iter().any(|(picked, _)| *picked == name);
        if has("ticket_without_repository") && has("repository_not_integrated") {
            continue;
        }
        let case = picked.iter().fold(accepted_entry(), |case, (_, change)| case.with(change));
        let expected = guard_names().into_iter().find(|name| has(name)).unwrap();
        assert_eq!(
            decide(&case.event, &case.facts).reason.code(),
            expected,
            "{:?}",
            picked.iter().map(|p| p.0).collect::<Vec<_>>()
        );
    }
}

#[test]
fn each_guard_refuses_with_its_reason_and_effect() {
    use FollowUp::{HoldEntry, Ignore, QueueEntry, UpdateTicket};
    let (project, ticket, status) = (project_id(), key(), TRIGGER.to_owned());
    let columns = "Todo, In Review, Done, Closed, Doing".into();
    for (reason, follow) in [
        (Reason::UnknownProject { project: project.clone() }, Ignore),
        (
            Reason::UnknownStatus {
                status: status.clone(),
                project: project.clone(),
                columns,
                nearest: status.clone(),
            },
            UpdateTicket,
        ),
        (Reason::NotTriggerStatus { status: IN_PROGRESS.into(), trigger: status.clone() }, UpdateTicket),
        (Reason::StatusUnchanged { ticket: ticket.clone(), status }, UpdateTicket),
        (Reason::AutoCreateOff { project: project.clone() }, UpdateTicket),
        (Reason::JobActive { ticket: ticket.clone(), job: job_id("j0") }, QueueEntry),
        (Reason::ProjectHeld { project: project.clone(), who: "ann".into() }, HoldEntry),
        (job_budget_exhausted(), HoldEntry),
        (spent_fact().refusal().unwrap(), UpdateTicket),
        (Reason::TicketWithoutRepository { ticket }, UpdateTicket),
        (Reason::RepositoryNotIntegrated { repo: other_repository(), project }, UpdateTicket),
    ] {
        let (_, change) = CONDITIONS.iter().find(|(name, _)| *name == reason.code()).unwrap();
        check_single_guard(&accepted_entry().with(change), reason, follow);
    }
    check_accepted(&accepted_entry().with(|case| case.facts.ticket = None));
}

#[test]
fn only_the_trigger_status_starts_jobs() {
    let to = |status: &str| accepted_entry().with(|case| case.event.status = status.into());
    check(&to(TODO), "not_trigger_status", FollowUp::UpdateTicket);
    let mistyped = to("ai processing");
    check(&mistyped, "unknown_status", FollowUp::UpdateTicket);
    let accepting = mistyped.with(|case| case.settings_mut().statuses.allow_others = true);
    check(&accepting, "not_trigger_status", FollowUp::UpdateTicket);
    check(&mistyped.with(|case| case.event.source = Source::Board), "not_trigger_status", FollowUp::UpdateTicket);
    check_accepted(&to(TRIGGER));
    check_accepted(&to(IN_PROGRESS).with(|case| case.settings_mut().statuses.trigger = IN_PROGRESS.into()));
}

/// An entry on a day with this many of three allowed jobs.
fn with_jobs_today(jobs: u32) -> Case {
    accepted_entry().with(|case| {
        case.settings_mut().budget.jobs_per_day = Some(3);
        case.facts.usage.jobs = jobs;
    })
}

fn job_budget_exhausted() -> Reason {
    let (used, limit) = ("3".into(), "3 jobs".into());
    Reason::BudgetExhausted { project: project_id(), used, limit, time: with_jobs_today(3).facts.usage.day.end() }
}

#[test]
fn entry_waits_when_the_daily_jobs_are_used_up() {
    check_accepted(&with_jobs_today(2));
    check_accepted(&with_jobs_today(3).with(|case| case.settings_mut().budget.jobs_per_day = None));
}

#[test]
fn waiting_entry_is_stored_again_only_when_newer() {
    let wait = |name| {
        with_jobs_today(3).with(|case| {
            let ticket = case.facts.ticket.take().unwrap();
            case.facts.ticket = Some(ticket.hold_entry(entry(name, 500)));
        })
    };
    check(&wait("e1"), "budget_exhausted", FollowUp::Ignore);
    check(&wait("e0"), "budget_exhausted", FollowUp::HoldEntry);
    let held = |name| wait(name).with(|case| case.settings_mut().held_by = Some("ann".into()));
    check(&held("e1"), "project_held", FollowUp::Ignore);
    check(&held("e0"), "project_held", FollowUp::HoldEntry);
    // The waiting entry starts once every guard passes.
    let over = wait("e1").with(|case| case.facts.usage.jobs = 0);
    assert_eq!(decide_again(&over.event, &over.facts).follow_up, FollowUp::CreateJob);
    assert_eq!(decide_again(&held("e1").event, &held("e1").facts).follow_up, FollowUp::Ignore);
}

#[test]
fn record_has_the_facts_of_the_decision() {
    let case = redelivery().with(|case| {
        case.ticket_mut().active_job = Some(job_id("j0"));
        case.settings_mut().held_by = Some("ann".into());
        case.event.previous_status = Some(IN_PROGRESS.into());
    });
    assert_eq!(
        record_facts(&case.event, &case.facts),
        RecordedFacts {
            decided_at: time_at(1_000),
            occurred_at: time_at(500),
            actor: Some("ann".into()),
            status: TRIGGER.into(),
            previous_status: Some(IN_PROGRESS.into()),
            // From the first answer, because the stored status is already this event's own.
            status_before: Some(TODO.into()),
            seen: Some((time_at(500), Some(event_id("e1")))),
            active_job: Some(job_id("j0")),
            trigger: Some(TRIGGER.into()),
            auto_create: Some(true),
            held_by: Some("ann".into()),
            repository: Some(repository().name),
            today: None,
            spending: None,
        }
    );
    assert_eq!(record_facts(&with_jobs_today(2).event, &with_jobs_today(2).facts).today.unwrap().jobs, 2);
    let bare = case.with(|case| {
        case.facts.first_decision = None;
        case.facts.ticket = None;
        case.facts.project = None;
        case.facts.repository = RepositoryFact::NotConnected(other_repository());
    });
    let record = record_facts(&bare.event, &bare.facts);
    assert_eq!((record.status_before, record.seen, record.trigger), (None, None, None));
    assert_eq!((record.auto_create, record.held_by), (None, None));
    assert_eq!(record.repository, Some(other_repository()));
}
