use super::*;
use crate::id::IntegrationId;
use crate::pull_request_id::PullRequestId;
use crate::story::{
    DOING, REVIEW, TODO, TRIGGER, at, entry, event_id, job_id, key, linked, project_id, pull_request_id, settings,
    ticket_in,
};

fn link() -> PullRequestLink {
    PullRequestLink {
        id: PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 99, number: 231 },
        url: "https://forge.test/acme/app/pull/231".into(),
        branch: "pullyard/acme/app-17-1".into(),
    }
}

fn from(expected: &str, to: Target) -> Option<Move> {
    let expected = expected.into();
    Some(Move { to, expected })
}

/// A ticket in this status that shall move, get a badge and a link.
fn unsynced(status: &str, wanted: Option<Move>) -> Ticket {
    let mut ticket = ticket_in(status);
    ticket.want(wanted, Some(Badge::AiFailed), Some(link()));
    ticket.tries = 4;
    ticket.not_before = Some(at(5));
    ticket
}

#[track_caller]
fn written(ticket: &Ticket) -> Ticket {
    match ticket.settling(&settings(), at(1_000)) {
        Settling::WriteBack(next) => {
            assert_eq!(ticket.clone().shown_at_once(&settings()), *next, "whoever writes it, and whenever");
            assert_eq!(next.clone().shown_at_once(&settings()), *next);
            *next
        }
        other => panic!("{other:?}"),
    }
}

/// Where a write-back leaves a ticket in `status`, and which status it wrote. Badge and link are written
/// in any case.
#[track_caller]
fn check_move(status: &str, wanted: Option<Move>, expected: (&str, Option<&str>)) {
    let before = unsynced(status, wanted);
    let after = written(&before);
    assert_eq!((after.status.as_str(), after.written.as_deref()), expected);
    let shown = Shown { badge: Some(Badge::AiFailed), pull_request: Some(link()) };
    let rest = Ticket {
        status: after.status.clone(),
        written: after.written.clone(),
        shown,
        synced_version: 1,
        tries: 0,
        not_before: None,
        ..before
    };
    assert_eq!(after, rest, "nothing else changes");
    assert_eq!(after.settling(&settings(), at(1_000)), Settling::Nothing, "once is enough");
}

#[test]
fn a_write_back_moves_the_ticket_from_where_its_job_found_it() {
    check_move(TRIGGER, from(TRIGGER, Target::Completion), (REVIEW, Some(REVIEW)));
    check_move(TRIGGER, from(TRIGGER, Target::Todo), (TODO, Some(TODO)));
    check_move(DOING, from(DOING, Target::Todo), (TODO, Some(TODO)));
}

#[test]
fn a_persons_move_wins_and_badge_and_link_are_written_all_the_same() {
    check_move(DOING, from(TRIGGER, Target::Completion), (DOING, None));
    check_move(REVIEW, from(TRIGGER, Target::Todo), (REVIEW, None));
    check_move(TRIGGER, None, (TRIGGER, None));
}

#[test]
fn what_is_there_already_is_not_written_and_has_no_echo() {
    check_move(TODO, from(TODO, Target::Todo), (TODO, None));
    check_move(REVIEW, from(REVIEW, Target::Completion), (REVIEW, None));
}

#[test]
fn the_status_is_read_from_the_settings_when_it_is_written() {
    let mut settings = settings();
    settings.statuses.completion = "Done".into();
    match unsynced(TRIGGER, from(TRIGGER, Target::Completion)).settling(&settings, at(1_000)) {
        Settling::WriteBack(next) => assert_eq!(next.status, "Done"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_older_echo_stays_awaited_when_nothing_new_is_written() {
    let mut ticket = unsynced(DOING, None);
    ticket.written = Some(TODO.into());
    assert_eq!(written(&ticket).written.as_deref(), Some(TODO));
}

#[test]
fn the_write_back_comes_before_the_second_entry() {
    let mut ticket = unsynced(TRIGGER, None);
    ticket.again = Some(entry("e2", 3));
    let next = written(&ticket);
    assert_eq!(next.again, ticket.again);
    assert_eq!(next.settling(&settings(), at(1_000)), Settling::Enter(entry("e2", 3)));
}

#[test]
fn a_second_entry_waits_for_the_job_and_counts_while_the_ticket_is_still_there() {
    let again = |status: &str, active_job: Option<JobId>| Ticket {
        again: Some(entry("e2", 3)),
        active_job,
        ..ticket_in(status)
    };
    assert_eq!(again(TRIGGER, None).settling(&settings(), at(1_000)), Settling::Enter(entry("e2", 3)));
    assert_eq!(again(TRIGGER, Some(job_id("j"))).settling(&settings(), at(1_000)), Settling::Nothing);
    assert_eq!(again(DOING, Some(job_id("j"))).settling(&settings(), at(1_000)), Settling::Nothing);
    let forgotten = Settling::Forget(Box::new(ticket_in(DOING)));
    assert_eq!(again(DOING, None).settling(&settings(), at(1_000)), forgotten);
}

#[test]
fn an_entry_that_waited_for_its_project_and_is_forgotten_holds_its_ticket_no_more() {
    let waited = ticket_in(DOING).waiting_with(entry("e2", 3));
    assert_eq!(waited.settling(&settings(), at(1_000)), Settling::Forget(Box::new(ticket_in(DOING))));
}

#[test]
fn a_synced_ticket_is_left_alone() {
    let mut ticket = ticket_in(TRIGGER);
    assert_eq!(ticket.settling(&settings(), at(1_000)), Settling::Nothing);
    ticket.active_job = Some(job_id("j"));
    ticket.written = Some(TODO.into());
    assert_eq!(ticket.settling(&settings(), at(1_000)), Settling::Nothing);
    let done = written(&unsynced(TRIGGER, from(TRIGGER, Target::Todo)));
    // A person moves it back: nobody drags it away a second time.
    let moved = Ticket { status: TRIGGER.into(), ..done };
    assert_eq!(moved.settling(&settings(), at(1_000)), Settling::Nothing);
}

#[test]
fn a_ticket_seen_first_has_no_past() {
    let ticket = Ticket::first_seen(project_id(), key(), DOING.into(), at(9), Some(event_id("e")));
    assert_eq!(
        (ticket.status.as_str(), ticket.seen_at, ticket.seen_event.clone()),
        (DOING, at(9), Some(event_id("e")))
    );
    assert!(!ticket.is_unsynced());
    assert_eq!((ticket.rev, ticket.branches, ticket.last_entry, ticket.last_job), (0, 0, None, None));
}

#[test]
fn an_entry_says_what_it_waits_for_while_the_ticket_stands_in_the_trigger_status() {
    let mut project = crate::story::project();
    let waiting = ticket_in(TRIGGER).waiting_with(entry("e1", 500));
    let code = |ticket: &Ticket, project: &Project| ticket.waits(project, at(0)).map(|wait| wait.code());
    assert_eq!(code(&waiting, &project), None, "it is about to be taken up");
    project.settings.budget.jobs_per_day = Some(1);
    assert_eq!(code(&waiting, &project), Some("budget_wait"));
    let until = Wait::BudgetWait { project: project.id.clone(), time: Day::of(at(0)).end() };
    assert_eq!(waiting.waits(&project, at(0)), Some(until));
    project.settings.held_by = Some("ann".into());
    assert_eq!(code(&waiting, &project), Some("project_held"));
    assert_eq!(code(&Ticket { status: "Doing".into(), ..waiting.clone() }, &project), None);
    assert_eq!(code(&Ticket { active_job: Some(job_id("j")), ..waiting }, &project), None, "its job waits, if any");
    assert_eq!(code(&ticket_in(TRIGGER), &project), None);
}

#[test]
fn only_the_entry_that_is_held_waits_for_its_project() {
    let waiting = ticket_in(TRIGGER).waiting_with(entry("e1", 500)).waiting_with(entry("e2", 600));
    assert!(waiting.waits_with(&entry("e2", 600)), "the newer one replaces the older");
    assert!(!waiting.waits_with(&entry("e1", 500)));
    assert!(!Ticket { held: false, ..waiting }.waits_with(&entry("e2", 600)), "a job is in its way");
}

#[test]
fn a_link_that_is_taken_off_leaves_the_badge_and_a_move_that_is_still_to_be_written() {
    let mut behind = unsynced(TRIGGER, from(TRIGGER, Target::Todo));
    let mut synced = written(&behind);
    behind.unlink();
    let badge = Some(Badge::AiFailed);
    assert_eq!(behind.pull_request, None);
    assert_eq!(behind.wanted, Wanted { version: 2, status: from(TRIGGER, Target::Todo), badge });
    synced.unlink();
    assert_eq!(synced.wanted, Wanted { version: 2, status: None, badge }, "what was written is not written again");
    assert_eq!(written(&synced).shown, Shown { badge, pull_request: None });
}

// Reviews that wait.

#[test]
fn reviews_of_ten_pull_requests_wait_and_no_more() {
    let mut ticket = ticket_in(REVIEW);
    for number in 0..MOST_DEFERRED as u64 {
        ticket = ticket.deferring(&pull_request_id(number), at(number)).unwrap();
    }
    assert_eq!(ticket.deferring(&pull_request_id(99), at(1)), None);
    assert_eq!(ticket.deferring(&pull_request_id(3), at(3)), None, "that is known");
    let later = ticket.deferring(&pull_request_id(3), at(90)).unwrap();
    assert_eq!((later.deferred.len(), later.deferred[&pull_request_id(3).to_string()]), (MOST_DEFERRED, at(90)));
    let stored = ticket.remembering(&pull_request_id(99), at(1));
    assert!(stored.defers(&pull_request_id(99)), "what is stored already is not forgotten");
}

#[test]
fn what_is_remembered_goes_on_at_the_earliest_time() {
    let id = linked().id;
    let opens = |first, second| {
        let ticket = ticket_in(REVIEW).remembering(&id, at(first)).remembering(&id, at(second));
        ticket.deferred[&id.to_string()]
    };
    assert_eq!((opens(5, 9), opens(9, 5)), (at(5), at(5)));
}

#[test]
fn a_mark_that_is_taken_off_leaves_the_others_and_forgets_failed_tries() {
    let mut ticket = ticket_in(REVIEW).remembering(&pull_request_id(1), at(1)).remembering(&pull_request_id(2), at(2));
    (ticket.tries, ticket.not_before) = (3, Some(at(70)));
    let ticket = ticket.without_deferred(&pull_request_id(1));
    assert_eq!((ticket.defers(&pull_request_id(1)), ticket.defers(&pull_request_id(2))), (false, true));
    assert_eq!((ticket.tries, ticket.not_before), (0, None));
}

#[test]
fn a_ticket_is_held_for_as_long_as_an_entry_or_a_review_of_it_waits() {
    let (one, other) = (pull_request_id(1), pull_request_id(2));
    let held = Ticket { held: true, ..ticket_in(REVIEW).remembering(&one, at(1)).remembering(&other, at(2)) };
    let left = held.without_deferred(&one);
    assert!(left.held, "the other one waits");
    assert!(!left.without_deferred(&other).held);
    let entered = Ticket { again: Some(entry("e2", 3)), ..left };
    assert!(entered.without_deferred(&other).held, "its entry waits");
    let free = Ticket { held: false, ..entered };
    assert!(!free.without_deferred(&other).held, "nobody holds it");
}

#[test]
fn what_waited_longest_is_settled_first_once_nothing_else_is_left() {
    let waits = ticket_in(REVIEW).remembering(&pull_request_id(1), at(20)).remembering(&pull_request_id(2), at(10));
    let step = |ticket: &Ticket, secs| ticket.settling(&settings(), at(secs));
    assert_eq!(step(&waits, 9), Settling::Nothing, "too early");
    assert_eq!(step(&waits, 10), Settling::Revise(pull_request_id(2)));
    assert_eq!(step(&waits.without_deferred(&pull_request_id(2)), 20), Settling::Revise(pull_request_id(1)));
    let busy = Ticket { active_job: Some(job_id("j")), ..waits.clone() };
    assert_eq!(step(&busy, 30), Settling::Nothing, "the job's end sees to them");
    let entered = Ticket { again: Some(entry("e2", 3)), status: TRIGGER.into(), ..waits.clone() };
    assert_eq!(step(&entered, 30), Settling::Enter(entry("e2", 3)));
    let mut behind = waits;
    behind.want(None, Some(Badge::AiFailed), None);
    assert!(matches!(step(&behind, 30), Settling::WriteBack(_)));
}

#[test]
fn a_mark_that_names_no_pull_request_is_taken_off() {
    let mut ticket = ticket_in(REVIEW);
    ticket.deferred.insert("what".into(), at(1));
    let ticket = ticket.remembering(&pull_request_id(1), at(2));
    let Settling::Mend(mended) = ticket.settling(&settings(), at(5)) else { panic!("it is mended") };
    assert_eq!(*mended, ticket_in(REVIEW).remembering(&pull_request_id(1), at(2)));
}
