use super::*;
use crate::budget::Day;
use crate::facts::FirstAnswer;
use crate::id::RepositoryName;
use crate::story::{
    DOING, REVIEW, TODO, TRIGGER, at, entry, event, event_id, facts, job_id, key, project, project_id, repository,
    ticket_in,
};
use crate::ticket::Ticket;

/// An event and the facts it meets.
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

    fn ticket(&mut self) -> &mut Ticket {
        self.facts.ticket.as_mut().unwrap()
    }

    fn settings(&mut self) -> &mut crate::project::Settings {
        &mut self.facts.project.as_mut().unwrap().settings
    }
}

/// A known ticket is moved from Todo into the trigger status, and nothing is against it.
fn entering() -> Case {
    Case { event: event("e1", TRIGGER, 500), facts: facts(Some(ticket_in(TODO))) }
}

fn first(reason: Reason, status_before: Option<&str>) -> Option<FirstAnswer> {
    Some(FirstAnswer {
        reason,
        status_before: status_before.map(str::to_owned),
        at: crate::story::at(0),
        seen: Vec::new(),
    })
}

fn auto_create_was_off() -> Reason {
    Reason::AutoCreateOff { project: project_id() }
}

fn other_repository() -> RepositoryName {
    RepositoryName::new("acme/other").unwrap()
}

type Change = fn(&mut Case);

/// What makes each guard refuse, whatever else is the case; `not_trigger_status` first and
/// `unknown_project` last, because others read what those change.
const CONDITIONS: [(&str, Change); 12] = [
    ("not_trigger_status", |case| case.event.status = DOING.into()),
    ("repeat", |case| {
        case.facts.first = first(Reason::Accepted { job: job_id("j0") }, None);
    }),
    ("stale_event", |case| case.ticket().seen_at = at(501)),
    ("echo", |case| case.ticket().written = Some(case.event.status.clone())),
    ("status_unchanged", |case| case.ticket().status = case.event.status.clone()),
    ("auto_create_off", |case| case.settings().auto_create = false),
    ("job_active", |case| case.ticket().active_job = Some(job_id("j0"))),
    ("project_held", |case| case.settings().held_by = Some("ann".into())),
    ("budget_exhausted", |case| {
        case.settings().budget.jobs_per_day = Some(3);
        case.facts.today.jobs = 3;
    }),
    ("ticket_without_repository", |case| {
        case.facts.repository = RepositoryFact::Unnamed;
    }),
    ("repository_not_integrated", |case| {
        case.facts.repository = RepositoryFact::NotConnected(other_repository());
    }),
    ("unknown_project", |case| case.facts.project = None),
];

/// The conditions that cannot hold together: a project that is not known has no settings, and a ticket
/// names a repository or it does not.
const EXCLUSIVE: [(&str, &str); 5] = [
    ("unknown_project", "not_trigger_status"),
    ("unknown_project", "auto_create_off"),
    ("unknown_project", "project_held"),
    ("unknown_project", "budget_exhausted"),
    ("ticket_without_repository", "repository_not_integrated"),
];

fn names() -> Vec<&'static str> {
    TICKET_GUARDS.iter().map(|(name, _)| *name).collect()
}

fn fires(name: &str, case: &Case) -> bool {
    let (_, guard) = TICKET_GUARDS.iter().find(|(guard, _)| *guard == name).unwrap();
    guard(&case.event, &case.facts).is_some()
}

fn check_order(expected: &str) {
    assert_eq!(names().join(" "), expected);
}

#[track_caller]
fn check(case: &Case, code: &str, follow: Follow) {
    let decision = decide(&case.event, &case.facts);
    assert_eq!((decision.reason.code(), decision.follow), (code, follow), "{case:#?}");
}

/// This reason and nothing else: the guard refuses, and only it.
#[track_caller]
fn check_alone(case: &Case, reason: Reason, follow: Follow) {
    let decision = decide(&case.event, &case.facts);
    assert_eq!(decision, Decision { reason, follow });
    let firing: Vec<_> = names().into_iter().filter(|name| fires(name, case)).collect();
    assert_eq!(firing, [decision.reason.code()], "another guard would have refused too");
}

#[track_caller]
fn check_accepted(case: &Case) {
    check(case, "accepted", Follow::Trigger);
}

#[test]
fn the_guards_stand_in_the_published_order() {
    check_order(
        "unknown_project repeat stale_event echo not_trigger_status status_unchanged auto_create_off job_active project_held budget_exhausted ticket_without_repository repository_not_integrated",
    );
}

#[test]
fn an_entry_that_nothing_is_against_gets_the_job_of_that_entry() {
    let case = entering();
    let job = JobId::of_entry(&project_id(), &key(), &entry("e1", 500));
    assert_eq!(
        decide(&case.event, &case.facts),
        Decision { reason: Reason::Accepted { job }, follow: Follow::Trigger }
    );
}

#[test]
fn of_all_conditions_that_hold_the_first_published_one_answers() {
    // Every subset, so every pair too.
    for subset in 1u32..1 << CONDITIONS.len() {
        let picked: Vec<_> = (0..CONDITIONS.len()).filter(|n| subset >> n & 1 == 1).map(|n| CONDITIONS[n]).collect();
        let has = |name: &str| picked.iter().any(|(picked, _)| *picked == name);
        if has("ticket_without_repository") && has("repository_not_integrated") {
            continue;
        }
        let case = picked.iter().fold(entering(), |case, (_, change)| case.with(change));
        let expected = names().into_iter().find(|name| has(name)).unwrap();
        assert_eq!(
            decide(&case.event, &case.facts).reason.code(),
            expected,
            "{:?}",
            picked.iter().map(|p| p.0).collect::<Vec<_>>()
        );
    }
}

#[test]
fn of_every_pair_both_guards_would_refuse_and_the_earlier_answers() {
    let mut pairs = 0;
    for (index, earlier) in names().into_iter().enumerate() {
        for later in names().into_iter().skip(index + 1) {
            if EXCLUSIVE.contains(&(earlier, later)) {
                continue;
            }
            let case = CONDITIONS
                .iter()
                .filter(|(name, _)| *name == earlier || *name == later)
                .fold(entering(), |case, (_, change)| case.with(change));
            assert!(fires(earlier, &case) && fires(later, &case), "{earlier} and {later} do not both hold");
            assert_eq!(decide(&case.event, &case.facts).reason.code(), earlier, "with {later}");
            pairs += 1;
        }
    }
    assert_eq!(pairs, 66 - EXCLUSIVE.len());
}

#[test]
fn an_unknown_project_is_refused_and_a_known_one_is_not() {
    let project = project_id();
    check_alone(
        &entering().with(|case| case.facts.project = None),
        Reason::UnknownProject { project },
        Follow::Nothing,
    );
    check_accepted(&entering());
}

#[test]
fn a_final_first_answer_is_given_again_and_any_other_is_decided_again() {
    for answer in Reason::samples() {
        let case = entering().with(|case| case.facts.first = first(answer.clone(), Some(TODO)));
        if ["accepted", "held", "duplicate"].contains(&answer.verdict().as_str()) {
            let first = answer.code().into();
            check_alone(&case, Reason::Repeat { first }, Follow::Nothing);
        } else {
            check_accepted(&case);
        }
    }
}

#[test]
fn only_an_entry_that_is_newer_than_its_ticket_and_gets_a_job_is_decided_without_its_first_answer() {
    let unanswered = |case: &Case| decide_unanswered(&case.event, &case.facts);
    let entering = entering();
    let unseen = entering.with(|case| case.facts.ticket = None);
    for newer in [&entering, &unseen] {
        assert_eq!(unanswered(newer), Some(decide(&newer.event, &newer.facts)));
    }
    // What is known of this time may come from this very event.
    assert_eq!(unanswered(&entering.with(|case| case.ticket().seen_at = case.event.occurred_at)), None);
    for (name, change) in CONDITIONS.into_iter().filter(|(name, _)| *name != "repeat") {
        assert_eq!(unanswered(&entering.with(change)), None, "{name}");
    }
}

#[test]
fn the_entry_of_the_newest_job_is_a_repeat_even_when_the_ledger_has_forgotten_it() {
    let last = |name, secs| entering().with(|case| case.ticket().last_entry = Some(entry(name, secs)));
    let first = "accepted".into();
    check_alone(&last("e1", 500), Reason::Repeat { first }, Follow::Nothing);
    check_accepted(&last("e0", 500));
    check_accepted(&last("e1", 499));
}

#[test]
fn an_older_event_is_stale_and_one_of_the_same_time_is_not() {
    let seen = |secs| entering().with(|case| case.ticket().seen_at = at(secs));
    check_alone(&seen(501), Reason::StaleEvent { ticket: key(), time: at(501) }, Follow::Nothing);
    check_accepted(&seen(500));
    let by_a_millisecond =
        entering().with(|case| case.ticket().seen_at = at(500).plus(std::time::Duration::from_millis(1)));
    check(&by_a_millisecond, "stale_event", Follow::Nothing);
}

#[test]
fn of_twin_events_of_one_entry_the_second_changes_nothing() {
    // The ticket as the first twin left it: same time, another id.
    let twin = entering().with(|case| {
        case.ticket().status = TRIGGER.into();
        case.ticket().seen_at = at(500);
        case.ticket().seen_event = Some(event_id("e1-twin"));
        case.ticket().last_entry = Some(entry("e1-twin", 500));
    });
    check(&twin, "status_unchanged", Follow::Snapshot);
    // Whether the first one's job is still active or not.
    check(&twin.with(|case| case.ticket().active_job = Some(job_id("j0"))), "status_unchanged", Follow::Snapshot);
}

#[test]
fn what_our_own_account_did_is_an_echo() {
    let by = |actor: Option<&str>, ours: Option<&str>| {
        entering().with(|case| {
            case.event.actor = actor.map(str::to_owned);
            case.settings().tool_account = ours.map(str::to_owned);
        })
    };
    check_alone(&by(Some("bot"), Some("bot")), Reason::Echo {}, Follow::Snapshot);
    check_accepted(&by(Some("ann"), Some("bot")));
    check_accepted(&by(Some("Bot"), Some("bot")));
    check_accepted(&by(None, Some("bot")));
    check_accepted(&by(None, None));
}

#[test]
fn the_first_event_after_our_write_that_tells_its_status_is_an_echo() {
    let wrote = |status: Option<&str>| entering().with(|case| case.ticket().written = status.map(str::to_owned));
    check_alone(&wrote(Some(TRIGGER)), Reason::Echo {}, Follow::Snapshot);
    check_accepted(&wrote(Some(REVIEW)));
    check_accepted(&wrote(None));
}

#[test]
fn the_board_has_no_echo() {
    let on_the_board = |case: &mut Case| case.event.source = Source::Board;
    let by_account = entering().with(|case| {
        case.event.actor = Some("bot".into());
        case.settings().tool_account = Some("bot".into());
    });
    let by_status = entering().with(|case| case.ticket().written = Some(TRIGGER.into()));
    for case in [by_account, by_status] {
        check(&case, "echo", Follow::Snapshot);
        check_accepted(&case.with(on_the_board));
    }
}

#[test]
fn only_the_trigger_status_starts_jobs() {
    let to = |status: &str| entering().with(|case| case.event.status = status.into());
    check_alone(
        &to(DOING),
        Reason::NotTriggerStatus { status: DOING.into(), trigger: TRIGGER.into() },
        Follow::Snapshot,
    );
    check(&to("ai processing"), "not_trigger_status", Follow::Snapshot);
    check_accepted(&to(TRIGGER));
    check_accepted(&to(DOING).with(|case| case.settings().statuses.trigger = DOING.into()));
}

#[test]
fn an_edit_of_a_ticket_that_sits_in_the_trigger_status_starts_nothing() {
    let was = |status: &str| entering().with(|case| case.ticket().status = status.into());
    check_alone(&was(TRIGGER), Reason::StatusUnchanged { ticket: key(), status: TRIGGER.into() }, Follow::Snapshot);
    check_accepted(&was(DOING));
}

#[test]
fn a_ticket_seen_for_the_first_time_enters() {
    check_accepted(&entering().with(|case| case.facts.ticket = None));
}

#[test]
fn what_the_sender_says_the_status_was_never_decides() {
    let stored = [None, Some(ticket_in(TODO)), Some(ticket_in(TRIGGER))];
    for ticket in stored {
        for told in [TODO, TRIGGER, DOING, ""] {
            let case = entering().with(|case| case.facts.ticket = ticket.clone());
            let silent = decide(&case.event, &case.facts);
            let case = case.with(|case| case.event.previous_status = Some(told.into()));
            assert_eq!(decide(&case.event, &case.facts), silent, "told {told}");
            assert_eq!(record(&case.event, &case.facts).previous_status.as_deref(), Some(told));
        }
    }
}

#[test]
fn auto_create_has_to_be_on() {
    let project = project_id();
    check_alone(
        &entering().with(|case| case.settings().auto_create = false),
        Reason::AutoCreateOff { project },
        Follow::Snapshot,
    );
    check_accepted(&entering().with(|case| case.settings().auto_create = true));
}

#[test]
fn an_entry_during_a_job_waits_for_its_end() {
    let busy = |job| entering().with(|case| case.ticket().active_job = job);
    check_alone(&busy(Some(job_id("j0"))), Reason::JobActive { ticket: key(), job: job_id("j0") }, Follow::EnterAgain);
    check_accepted(&busy(None));
}

#[test]
fn a_held_project_starts_nothing_and_the_entry_waits() {
    check_alone(
        &entering().with(|case| case.settings().held_by = Some("ann".into())),
        Reason::ProjectHeld { project: project_id(), who: "ann".into() },
        Follow::Wait,
    );
    check_accepted(&entering().with(|case| case.settings().held_by = None));
}

/// Three jobs a day are allowed, and this is how many were made.
fn with_jobs_today(jobs: u32) -> Case {
    entering().with(|case| {
        case.settings().budget.jobs_per_day = Some(3);
        case.facts.today.jobs = jobs;
    })
}

fn no_job_left() -> Reason {
    let (used, limit) = ("3".into(), "3 jobs".into());
    Reason::BudgetExhausted { project: project_id(), used, limit, time: with_jobs_today(3).facts.today.day.end() }
}

#[test]
fn an_entry_waits_once_the_days_jobs_are_used_up() {
    check_alone(&with_jobs_today(3), no_job_left(), Follow::Wait);
    check_accepted(&with_jobs_today(2));
    check_accepted(&with_jobs_today(3).with(|case| case.settings().budget.jobs_per_day = None));
}

#[test]
fn an_entry_that_waits_already_is_not_stored_again_and_a_newer_one_is() {
    let wait = |name| {
        with_jobs_today(3).with(|case| {
            let ticket = case.facts.ticket.take().unwrap();
            case.facts.ticket = Some(ticket.waiting_with(entry(name, 500)));
        })
    };
    check(&wait("e1"), "budget_exhausted", Follow::Nothing);
    check(&wait("e0"), "budget_exhausted", Follow::Wait);
    let held = |name| wait(name).with(|case| case.settings().held_by = Some("ann".into()));
    check(&held("e1"), "project_held", Follow::Nothing);
    check(&held("e0"), "project_held", Follow::Wait);
    // What waits is taken up when nothing is against it any more.
    let over = wait("e1").with(|case| case.facts.today.jobs = 0);
    assert_eq!(decide_again(&over.event, &over.facts).follow, Follow::Trigger);
    assert_eq!(decide_again(&held("e1").event, &held("e1").facts).follow, Follow::Nothing);
}

#[test]
fn the_repository_has_to_be_named_and_connected() {
    let about = |fact| entering().with(|case| case.facts.repository = fact);
    check_alone(&about(RepositoryFact::Unnamed), Reason::TicketWithoutRepository { ticket: key() }, Follow::Snapshot);
    check_alone(
        &about(RepositoryFact::NotConnected(other_repository())),
        Reason::RepositoryNotIntegrated { repo: other_repository(), project: project_id() },
        Follow::Snapshot,
    );
    check_accepted(&about(RepositoryFact::Connected(Box::new(repository()))));
}

/// The entry `e1` was refused as auto-create was off, and its snapshot is stored; now it is on.
fn redelivered() -> Case {
    entering().with(|case| {
        case.facts.first = first(auto_create_was_off(), Some(TODO));
        case.ticket().status = TRIGGER.into();
        case.ticket().seen_at = at(500);
        case.ticket().seen_event = Some(event_id("e1"));
    })
}

#[test]
fn a_redelivery_after_the_cause_was_repaired_is_accepted() {
    check_accepted(&redelivered());
    check_accepted(&redelivered().with(|case| case.facts.first = first(auto_create_was_off(), None)));
    // As long as the cause stands, so does the answer.
    check(&redelivered().with(|case| case.settings().auto_create = false), "auto_create_off", Follow::Snapshot);
}

#[test]
fn a_redelivery_of_what_was_no_entry_stays_none() {
    let edit = redelivered().with(|case| {
        let (ticket, status) = (key(), TRIGGER.into());
        case.facts.first = first(Reason::StatusUnchanged { ticket, status }, Some(TRIGGER));
    });
    check(&edit, "status_unchanged", Follow::Snapshot);
}

#[test]
fn a_redelivery_after_a_newer_event_starts_nothing() {
    let newer = |secs| {
        redelivered().with(|case| {
            case.ticket().seen_at = at(secs);
            case.ticket().seen_event = Some(event_id("e2"));
        })
    };
    check(&newer(501), "stale_event", Follow::Nothing);
    check(&newer(500), "status_unchanged", Follow::Snapshot);
}

#[test]
fn a_redelivery_after_our_own_write_back_starts_nothing() {
    // `e1` came during a job that then completed: it was about that work, and the ticket has moved on.
    let moved_on = redelivered().with(|case| {
        let (ticket, job) = (key(), job_id("j0"));
        case.facts.first = first(Reason::JobActive { ticket, job }, Some(TODO));
        case.ticket().status = REVIEW.into();
        case.ticket().written = Some(REVIEW.into());
    });
    check(&moved_on, "stale_event", Follow::Nothing);
}

#[test]
fn the_record_keeps_what_the_decision_saw() {
    let case = redelivered().with(|case| {
        case.ticket().active_job = Some(job_id("j0"));
        case.settings().held_by = Some("ann".into());
        case.event.previous_status = Some(DOING.into());
    });
    assert_eq!(
        record(&case.event, &case.facts),
        Recorded {
            v: 1,
            decided_at: at(1_000),
            occurred_at: at(500),
            actor: Some("ann".into()),
            status: TRIGGER.into(),
            previous_status: Some(DOING.into()),
            // Not the stored one, which is this event's own.
            status_before: Some(TODO.into()),
            seen: Some((at(500), Some(event_id("e1")))),
            active_job: Some(job_id("j0")),
            trigger: Some(TRIGGER.into()),
            auto_create: Some(true),
            held_by: Some("ann".into()),
            repository: Some(repository().name),
            today: None,
        }
    );
    assert_eq!(record(&with_jobs_today(2).event, &with_jobs_today(2).facts).today.unwrap().jobs, 2);
    let bare = case.with(|case| {
        case.facts.first = None;
        case.facts.ticket = None;
        case.facts.project = None;
        case.facts.repository = RepositoryFact::NotConnected(other_repository());
    });
    let kept = record(&bare.event, &bare.facts);
    assert_eq!((kept.status_before, kept.seen, kept.trigger), (None, None, None));
    assert_eq!((kept.auto_create, kept.held_by), (None, None));
    assert_eq!(kept.repository, Some(other_repository()));
}

#[test]
fn a_second_entry_is_asked_the_later_guards_only() {
    for (name, change) in CONDITIONS {
        let case = entering().with(change);
        let decision = decide_again(&case.event, &case.facts);
        let asked = ["auto_create_off", "job_active", "ticket_without_repository", "repository_not_integrated"];
        let (code, follow) = match name {
            "project_held" | "budget_exhausted" => (name, Follow::Wait),
            name if asked.contains(&name) => (name, Follow::Snapshot),
            _ => ("accepted", Follow::Trigger),
        };
        assert_eq!((decision.reason.code(), decision.follow), (code, follow), "{name}");
    }
    let case = entering();
    let job = JobId::of_entry(&project_id(), &key(), &entry("e1", 500));
    assert_eq!(decide_again(&case.event, &case.facts).reason, Reason::Accepted { job });
}

#[test]
fn a_second_entry_meets_the_later_guards_in_their_order() {
    let mut left: Vec<_> = CONDITIONS.into_iter().filter(|(name, _)| *name != "unknown_project").collect();
    let mut answers = Vec::new();
    loop {
        // The last of two spellings of one fact would win, so only one of them is put in at a time.
        let unnamed = left.iter().any(|(name, _)| *name == "ticket_without_repository");
        let case = left
            .iter()
            .filter(|(name, _)| !(unnamed && *name == "repository_not_integrated"))
            .fold(entering(), |case, (_, change)| case.with(change));
        let code = decide_again(&case.event, &case.facts).reason.code();
        answers.push(code);
        if code == "accepted" {
            break;
        }
        left.retain(|(name, _)| *name != code);
    }
    assert_eq!(
        answers.join(" "),
        "auto_create_off job_active project_held budget_exhausted ticket_without_repository repository_not_integrated accepted"
    );
}

#[track_caller]
fn check_request(ticket: &Ticket, held_by: Option<&str>, fact: &RepositoryFact, code: Option<&str>) {
    let mut project = project();
    project.settings.held_by = held_by.map(str::to_owned);
    let reason = decide_request(&project, ticket, fact, &Today::unused(Day::of(at(0))));
    assert_eq!(reason.as_ref().map(Reason::code), code);
}

#[test]
fn a_persons_request_is_asked_for_the_job_the_hold_and_the_repository() {
    let free = ticket_in(DOING);
    let busy = Ticket { active_job: Some(job_id("j0")), ..free.clone() };
    let connected = RepositoryFact::Connected(Box::new(repository()));
    let foreign = RepositoryFact::NotConnected(other_repository());
    check_request(&busy, Some("ann"), &RepositoryFact::Unnamed, Some("job_active"));
    check_request(&busy, None, &connected, Some("job_active"));
    check_request(&free, Some("ann"), &RepositoryFact::Unnamed, Some("project_held"));
    check_request(&free, Some("ann"), &connected, Some("project_held"));
    check_request(&free, None, &RepositoryFact::Unnamed, Some("ticket_without_repository"));
    check_request(&free, None, &foreign, Some("repository_not_integrated"));
    check_request(&free, None, &connected, None);
}

#[test]
fn a_persons_request_obeys_the_budget_after_the_hold_and_before_the_repository() {
    let mut project = project();
    project.settings.budget.jobs_per_day = Some(3);
    let today = with_jobs_today(3).facts.today;
    let (free, unnamed) = (ticket_in(DOING), RepositoryFact::Unnamed);
    assert_eq!(decide_request(&project, &free, &unnamed, &today), Some(no_job_left()));
    let busy = Ticket { active_job: Some(job_id("j0")), ..free.clone() };
    assert_eq!(decide_request(&project, &busy, &unnamed, &today).unwrap().code(), "job_active");
    project.settings.held_by = Some("ann".into());
    assert_eq!(decide_request(&project, &free, &unnamed, &today).unwrap().code(), "project_held");
}

#[test]
fn a_persons_request_cares_neither_for_the_status_nor_for_auto_create() {
    let mut project = project();
    project.settings.auto_create = false;
    let connected = RepositoryFact::Connected(Box::new(repository()));
    for status in [TODO, TRIGGER, REVIEW, DOING] {
        let today = Today::unused(Day::of(at(0)));
        assert_eq!(decide_request(&project, &ticket_in(status), &connected, &today), None, "{status}");
    }
}

#[test]
fn an_entry_that_was_stored_before_the_job_is_no_second_entry() {
    let mut case = entering();
    let ticket = case.facts.ticket.as_mut().unwrap();
    ticket.active_job = Some(crate::story::job_id("requested"));
    ticket.status = TRIGGER.into();
    ticket.seen_event = Some(case.event.event.clone());
    ticket.seen_at = case.event.occurred_at;
    ticket.found_in = Some(TRIGGER.into());
    case.facts.first = first(auto_create_was_off(), Some(TODO));
    check(&case, "job_active", Follow::Nothing);

    case.facts.ticket.as_mut().unwrap().found_in = Some(TODO.into());
    check(&case, "job_active", Follow::EnterAgain);
    case.facts.ticket.as_mut().unwrap().again = Some(case.event.entry());
    check(&case, "job_active", Follow::Nothing);
}
