//! Events that were answered or overtaken before, echoes of our own writes, and what is delivered again.

use super::*;
use crate::story::REVIEW;

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
fn a_redelivery_after_the_cause_was_repaired_is_accepted() {
    check_accepted(&redelivered());
    check_accepted(&redelivered().with(|case| case.facts.first = first(auto_create_was_off(), None)));
    // As long as the cause stands, so does the answer.
    check(&redelivered().with(|case| case.settings().auto_create = false), "auto_create_off", Follow::Snapshot);
}

#[test]
fn redelivered_entry_waits_for_the_active_job() {
    let refused = first(auto_create_was_off(), None);
    let during_a_job = redelivered().with(|case| {
        case.facts.first = refused;
        case.ticket().active_job = Some(job_id("j0"));
    });
    check(&during_a_job, "job_active", Follow::EnterAgain);
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
