//! Tests repeated, stale and redelivered events, and echoes of Pullyard's own writes.

use super::*;
use crate::fixtures::REVIEW;
use crate::project::tracker::{TrackerKind, TrackerSettings};

#[test]
fn final_answer_is_repeated_and_others_are_decided_again() {
    for answer in Reason::samples() {
        let case = accepted_entry().with(|case| case.facts.first_decision = first_answer(answer.clone(), Some(TODO)));
        if ["accepted", "held", "duplicate"].contains(&answer.verdict().as_str()) {
            let first = answer.code().into();
            check_single_guard(&case, Reason::Repeat { first }, FollowUp::Ignore);
        } else {
            check_accepted(&case);
        }
    }
}

#[test]
fn newest_jobs_entry_is_a_repeat_without_ledger_entry() {
    let last = |name, secs| accepted_entry().with(|case| case.ticket_mut().last_entry = Some(entry(name, secs)));
    let first = "accepted".into();
    check_single_guard(&last("e1", 500), Reason::Repeat { first }, FollowUp::Ignore);
    check_accepted(&last("e0", 500));
    check_accepted(&last("e1", 499));
}

#[test]
fn older_event_is_stale_and_same_time_is_not() {
    let seen = |secs| accepted_entry().with(|case| case.ticket_mut().seen_at = time_at(secs));
    check_single_guard(&seen(501), Reason::StaleEvent { ticket: key(), time: time_at(501) }, FollowUp::Ignore);
    check_accepted(&seen(500));
    let by_a_millisecond = accepted_entry()
        .with(|case| case.ticket_mut().seen_at = time_at(500).plus(std::time::Duration::from_millis(1)));
    check(&by_a_millisecond, "stale_event", FollowUp::Ignore);
}

#[test]
fn event_by_our_own_account_is_an_echo() {
    let by = |actor: Option<&str>, ours: Option<&str>| {
        accepted_entry().with(|case| {
            case.event.actor = actor.map(str::to_owned);
            case.settings_mut().tool_account = ours.map(str::to_owned);
        })
    };
    check_single_guard(&by(Some("bot"), Some("bot")), Reason::Echo {}, FollowUp::UpdateTicket);
    check_accepted(&by(Some("ann"), Some("bot")));
    check_accepted(&by(Some("Bot"), Some("bot")));
    check_accepted(&by(None, Some("bot")));
    check_accepted(&by(None, None));
}

#[test]
fn first_event_with_our_written_status_is_an_echo() {
    let wrote =
        |status: Option<&str>| accepted_entry().with(|case| case.ticket_mut().written = status.map(str::to_owned));
    check_single_guard(&wrote(Some(TRIGGER)), Reason::Echo {}, FollowUp::UpdateTicket);
    check_accepted(&wrote(Some(REVIEW)));
    check_accepted(&wrote(None));
}

#[test]
fn own_move_into_the_trigger_status_is_an_echo() {
    let retried = accepted_entry().with(|case| {
        let ticket = case.ticket_mut();
        ticket.status = REVIEW.into();
        ticket.tracker = Some(crate::text::id::IntegrationId::new("own").unwrap());
        *ticket = ticket.clone().for_retry(TRIGGER);
        // An edit in the tool is reported in between.
        (ticket.status, ticket.written, ticket.written_trigger) = (REVIEW.into(), None, None);
    });
    check_single_guard(&retried, Reason::Echo {}, FollowUp::UpdateTicket);
    check_accepted(&retried.with(|case| case.ticket_mut().synced_version = 1));
    let reported_late = accepted_entry().with(|case| case.ticket_mut().written_trigger = Some(TRIGGER.into()));
    check_single_guard(&reported_late, Reason::Echo {}, FollowUp::UpdateTicket);
}

#[test]
fn board_events_are_never_echoes() {
    let on_the_board = |case: &mut Case| case.event.source = Source::Board;
    let by_account = accepted_entry().with(|case| {
        case.event.actor = Some("bot".into());
        case.settings_mut().tool_account = Some("bot".into());
    });
    let by_status = accepted_entry().with(|case| case.ticket_mut().written = Some(TRIGGER.into()));
    for case in [by_account, by_status] {
        check(&case, "echo", FollowUp::UpdateTicket);
        check_accepted(&case.with(on_the_board));
    }
}

#[test]
fn withdrawn_move_on_the_board_is_stale_in_a_tool() {
    let requested = |event: &str| {
        accepted_entry().with(|case| {
            case.event.source = Source::Board;
            let own = crate::text::id::IntegrationId::new("own").unwrap();
            case.settings_mut().tracker = Some(TrackerSettings::new(TrackerKind::Http, own.clone()));
            let settings = case.settings_mut().clone();
            case.ticket_mut().tracker = Some(own);
            case.ticket_mut().request_move(TRIGGER, "ann", event_id(event), &settings);
        })
    };
    check_accepted(&requested("e1"));
    check(&requested("e2"), "stale_event", FollowUp::Ignore);
    check_accepted(&requested("e2").with(|case| case.settings_mut().tracker = None));
    let edited = requested("e2").with(|case| case.ticket_mut().status = TRIGGER.into());
    check(&edited, "status_unchanged", FollowUp::UpdateTicket);
}

#[test]
fn redelivery_after_a_repair_is_accepted() {
    check_accepted(&redelivery());
    check_accepted(&redelivery().with(|case| case.facts.first_decision = first_answer(auto_create_off(), None)));
    // The refusal repeats while its cause remains.
    check(
        &redelivery().with(|case| case.settings_mut().auto_create = false),
        "auto_create_off",
        FollowUp::UpdateTicket,
    );
}

#[test]
fn redelivery_of_an_edit_is_no_entry() {
    let edit = redelivery().with(|case| {
        let (ticket, status) = (key(), TRIGGER.into());
        case.facts.first_decision = first_answer(Reason::StatusUnchanged { ticket, status }, Some(TRIGGER));
    });
    check(&edit, "status_unchanged", FollowUp::UpdateTicket);
}

#[test]
fn redelivery_after_a_newer_event_starts_nothing() {
    let newer = |secs| {
        redelivery().with(|case| {
            case.ticket_mut().seen_at = time_at(secs);
            case.ticket_mut().seen_event = Some(event_id("e2"));
        })
    };
    check(&newer(501), "stale_event", FollowUp::Ignore);
    check(&newer(500), "status_unchanged", FollowUp::UpdateTicket);
}

#[test]
fn redelivery_after_our_write_back_starts_nothing() {
    // `e1` arrived during a job that has completed since and moved the ticket on.
    let moved_on = redelivery().with(|case| {
        let (ticket, job) = (key(), job_id("j0"));
        case.facts.first_decision = first_answer(Reason::JobActive { ticket, job }, Some(TODO));
        case.ticket_mut().status = REVIEW.into();
        case.ticket_mut().written = Some(REVIEW.into());
    });
    check(&moved_on, "stale_event", FollowUp::Ignore);
}
