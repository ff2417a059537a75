use super::alike::Swap;
use super::state::State;
use super::world::World;
use super::*;
use crate::explore::World as _;
use std::collections::{BTreeSet, HashSet};

/// Nothing is claimed but at once.
const NOW: Moments = Moments(&[0]);

/// A slot is old enough by then for a heartbeat to end it, and nobody was silent for too long.
const MINUTE: Moments = Moments(&[0, 65]);

/// Every limit of seconds and minutes has passed by the second.
const MINUTES: Moments = Moments(&[0, 125]);

/// Since the second, none of them has by the third.
const LONG: Moments = Moments(&[0, 125, 145]);

/// One job, one runner, one sweeper; nothing goes wrong but time.
const ONE: Setting = Setting {
    jobs: 1,
    runners: 1,
    sweepers: 1,
    faults: 0,
    doubles: 0,
    crashes: 0,
    cancels: 0,
    pauses: 0,
    says: 0,
    questions: 0,
    moments: MINUTES,
    hours: true,
    ahead: 0,
    lags: false,
    goes_back: true,
    alike: false,
    without: None,
};

/// Two runners want one job.
const RACE: Setting = Setting { runners: 2, ..ONE };

#[track_caller]
fn check(name: &str, settings: &[Setting]) {
    crate::explore::check(name, settings, explore);
}

#[test]
fn one_runner_that_may_be_silent_leaves_nothing_hanging() {
    check("one", &[ONE, Setting { goes_back: false, ..ONE }, Setting { sweepers: 2, ..ONE }]);
}

#[test]
fn an_answer_that_is_lost_starts_nothing_twice() {
    check("faults", &[Setting { faults: 2, ..ONE }]);
}

#[test]
fn a_cancel_at_any_moment_ends_the_job_once() {
    check("cancel", &[Setting { cancels: 1, ..ONE }]);
}

/// A person pauses, and may take that back; an agent asks, and is answered.
const PAUSE: Setting = Setting { pauses: 1, ..ONE };
const TALK: Setting = Setting { says: 1, questions: 1, moments: NOW, ..ONE };

#[test]
fn a_pause_at_any_moment_holds_until_somebody_takes_it_back() {
    check("pause", &[PAUSE, Setting { pauses: 2, moments: NOW, ..ONE }]);
}

#[test]
fn a_call_that_comes_late_while_people_pause_and_continue_takes_the_job_from_nobody() {
    check("pause, a call that comes twice", &[Setting { pauses: 1, doubles: 1, moments: NOW, ..ONE }]);
}

#[test]
fn a_question_waits_for_its_answer_and_for_no_older_one() {
    check(
        "question",
        &[Setting { moments: MINUTES, ..TALK }, Setting { says: 2, ..TALK }, Setting { faults: 1, ..TALK }],
    );
}

#[test]
fn whatever_people_want_at_once_the_job_comes_to_one_end() {
    check("wishes", &[Setting { pauses: 1, cancels: 1, ..TALK }, Setting { lags: true, moments: NOW, ..PAUSE }]);
}

#[test]
fn what_was_paused_or_asked_on_one_runner_may_go_on_on_another() {
    check("two runners, paused", &[Setting { runners: 2, moments: NOW, ..PAUSE }]);
}

#[test]
fn two_runners_never_hold_one_job() {
    check("two runners", &[Setting { moments: NOW, ..RACE }]);
}

#[test]
fn what_is_read_a_moment_late_is_never_acted_upon() {
    check("late reads", &[Setting { lags: true, ..ONE }, Setting { lags: true, moments: NOW, ..RACE }]);
}

#[test]
fn clocks_that_are_minutes_apart_leave_every_slot_and_ticket_as_it_ought_to_be() {
    check("apart", &[Setting { ahead: 180, ..ONE }, Setting { ahead: -180, ..ONE }]);
}

/// Two tickets on two runners. Those who come back after hours are left to `two_tickets_and_two_runners`: they are
/// most of the states, and faults come before.
const PAIRS: Setting = Setting { jobs: 2, runners: 2, moments: NOW, hours: false, alike: true, ..ONE };

#[test]
fn of_two_tickets_on_two_runners_no_answer_that_is_lost_starts_anything_twice() {
    check("pairs, lost answers", &[PAIRS, Setting { sweepers: 2, ..PAIRS }, Setting { faults: 2, ..PAIRS }]);
}

#[test]
fn of_two_tickets_on_two_runners_a_call_that_comes_twice_and_at_any_time_counts_once() {
    check("pairs, calls that come twice", &[Setting { doubles: 1, ..PAIRS }, Setting { doubles: 2, ..PAIRS }]);
}

#[test]
fn of_two_tickets_on_two_runners_none_is_lost_with_the_process_of_its_job() {
    check("pairs, processes that die", &[Setting { crashes: 2, ..PAIRS }]);
    check("a process that dies", &[Setting { runners: 2, moments: MINUTE, crashes: 1, hours: false, ..ONE }]);
}

#[test]
fn of_two_tickets_on_two_runners_nothing_is_done_for_what_was_read_a_moment_late() {
    check("pairs, late reads", &[Setting { lags: true, ..PAIRS }, Setting { lags: true, faults: 1, ..PAIRS }]);
}

#[test]
fn of_two_tickets_on_two_runners_each_slot_is_as_it_ought_to_be_where_clocks_are_apart() {
    check("pairs, clocks apart", &[Setting { ahead: 180, ..PAIRS }, Setting { ahead: -180, ..PAIRS }]);
}

#[test]
fn of_two_tickets_on_two_runners_one_is_cancelled_at_any_moment_and_the_other_is_not() {
    check("pairs, cancel", &[Setting { cancels: 1, ..PAIRS }]);
}

/// Two tickets on two runners, with those who come back after hours, and with several kinds of faults on one way.
/// `cargo test --release -p pullyard-models -- --ignored --nocapture two_tickets`
#[test]
#[ignore = "takes minutes in a debug build"]
fn two_tickets_and_two_runners() {
    let faults = Setting { faults: 1, doubles: 1, crashes: 1, lags: true, ..PAIRS };
    let apart = Setting { ahead: 180, ..PAIRS };
    let apart = [Setting { doubles: 1, lags: true, ..apart }, Setting { sweepers: 2, ..apart }];
    // A job whose process died is found by then, and goes to the other runner.
    let dies = Setting { moments: MINUTE, crashes: 1, faults: 1, lags: true, ..PAIRS };
    let twice = Setting { moments: MINUTE, doubles: 1, ..PAIRS };
    check("two tickets, two runners, hours", &[Setting { hours: true, ..PAIRS }]);
    check("two tickets, two runners, one fault of each kind", &[faults]);
    check("two tickets, two runners, clocks apart", &apart);
    check("two tickets, two runners, a process that dies", &[dies]);
    check("two tickets, two runners, a call that comes a minute late", &[twice]);
}

/// Every state that this setting reaches goes on under other names as it does under its own, and is as right.
#[track_caller]
fn names_make_no_difference(setting: Setting) {
    let mut world = World::new(setting);
    let mut seen = HashSet::new();
    let start = world.start();
    let mut found = vec![world.alike(&start)];
    while let Some(state) = found.pop() {
        if !seen.insert(state) {
            continue;
        }
        let next = world.next(&state).unwrap();
        for swap in Swap::all(&setting) {
            let other = world.renamed(&state, swap);
            assert_eq!(world.renamed(&other, swap), state, "{swap:?} and back");
            assert_eq!(world.wrong(&other), Ok(()));
            let there: BTreeSet<State> = world.next(&other).unwrap().into_iter().map(|(_, next)| next).collect();
            let here: BTreeSet<State> = next.iter().map(|(_, next)| world.renamed(next, swap)).collect();
            assert!(there == here, "{swap:?} of {state:#?}");
        }
        found.extend(next.into_iter().map(|(_, next)| world.alike(&next)));
    }
    println!("{} states go on alike under other names", seen.len());
}

#[test]
fn what_differs_by_names_alone_goes_on_alike() {
    names_make_no_difference(Setting { lags: true, ..PAIRS });
    names_make_no_difference(Setting { doubles: 1, ..PAIRS });
    names_make_no_difference(Setting { pauses: 1, runners: 1, ..PAIRS });
    names_make_no_difference(Setting { says: 1, questions: 1, runners: 1, ..PAIRS });
    names_make_no_difference(Setting { jobs: 1, crashes: 1, moments: MINUTE, ..PAIRS });
}

/// More at once than the others have. `cargo test --release -p pullyard-models -- --ignored runners`
#[test]
#[ignore = "takes minutes"]
fn more_of_everything_at_once() {
    check(
        "everything",
        &[
            Setting { jobs: 2, sweepers: 1, ..ONE },
            Setting { moments: LONG, sweepers: 2, faults: 1, ..ONE },
            RACE,
            Setting { moments: NOW, faults: 1, ..RACE },
            Setting { moments: NOW, cancels: 1, ..RACE },
            Setting { goes_back: false, faults: 1, ..PAUSE },
            Setting { pauses: 1, cancels: 1, says: 2, faults: 1, ..TALK },
        ],
    );
}

/// Without this rule something happens that must not.
#[track_caller]
fn fails_without(rule: Rule, setting: Setting, expected: &str) {
    crate::explore::is_missed(rule, explore(Setting { without: Some(rule), ..setting }), expected);
}

#[test]
fn two_runners_that_write_over_any_revision_hold_one_job() {
    fails_without(Rule::JobOverRev, RACE, "the slot of job 0");
    fails_without(Rule::JobOverRev, PAIRS, "the slot of job");
}

#[test]
fn a_runner_whose_calls_are_not_held_against_its_claim_goes_on_in_anothers_name() {
    fails_without(Rule::Fence, RACE, "is written of job 0 in another's name");
    // Also of two tickets, where a sweeper's clock took the job too early.
    fails_without(Rule::Fence, Setting { ahead: 180, ..PAIRS }, "in another's name");
}

#[test]
fn a_runner_taken_offline_over_any_heartbeat_loses_jobs_while_it_speaks() {
    fails_without(Rule::OfflineOverHeartbeat, Setting { moments: LONG, ..ONE }, "was heard and loses");
}

#[test]
fn an_end_decided_for_an_earlier_silence_takes_the_job_of_a_runner_that_speaks() {
    fails_without(Rule::EndOverEpoch, ONE, "was heard and loses");
}

#[test]
fn a_ghost_decided_over_an_older_heartbeat_takes_a_job_that_runs() {
    fails_without(Rule::GhostOverHeartbeat, Setting { moments: LONG, ..ONE }, "says that it runs");
}

#[test]
fn a_job_taken_away_while_it_may_push_is_pushed_by_nobody_who_holds_it() {
    fails_without(Rule::PushUntil, ONE, "which it does not hold");
}

#[test]
fn time_to_push_that_counts_from_the_answer_outlives_the_hold() {
    fails_without(Rule::PushFromAsking, ONE, "which it does not hold");
}

#[test]
fn a_claim_that_is_repeated_after_its_job_ended_gets_no_second_one() {
    fails_without(Rule::LastClaim, Setting { faults: 1, ..ONE }, "one claim");
}

#[test]
fn a_claim_that_comes_a_second_time_after_its_job_ended_gets_no_other_ticket() {
    fails_without(Rule::LastClaim, Setting { doubles: 1, ..PAIRS }, "got two attempts");
}

#[test]
fn a_push_that_expects_no_head_moves_a_branch_for_each_attempt() {
    fails_without(Rule::ExpectedHead, ONE, "moves twice");
}

#[test]
fn a_slot_that_is_emptied_of_whatever_claim_is_there_loses_a_job_that_runs() {
    fails_without(Rule::SlotOfClaim, Setting { sweepers: 2, ..ONE }, "and it ought: true");
}

#[test]
fn a_refusal_made_from_a_late_read_takes_a_runners_own_job() {
    fails_without(Rule::LookAgain, Setting { lags: true, ..ONE }, "which it holds");
}

#[test]
fn a_question_beside_an_answer_that_nobody_read_is_asked_for_ever() {
    fails_without(Rule::NothingUnread, TALK, "waits for an answer that it has");
}

#[test]
fn a_pause_that_was_taken_back_before_its_runner_stopped_would_hold_for_ever() {
    fails_without(Rule::PauseIsWanted, PAUSE, "is paused, and nobody wants that");
}

#[test]
fn a_job_put_back_with_a_pause_wanted_is_ready_and_nobodys() {
    fails_without(Rule::RequeuePauses, PAUSE, "goes on, and was to be paused");
}

#[test]
fn an_answer_that_is_sent_twice_would_count_twice() {
    fails_without(Rule::SaidOnce, Setting { faults: 1, ..TALK }, "counts 2 inputs of 1");
}

#[test]
fn a_job_that_nobody_continues_would_lock_its_ticket_for_ever() {
    fails_without(Rule::RestEnds, PAUSE, "is left hanging: Paused");
}

#[test]
fn a_ticket_that_is_written_apart_from_its_job_does_not_say_that_it_waits() {
    fails_without(Rule::BadgeWithJob, TALK, "its ticket says that it waits: false");
}

#[test]
fn what_a_lost_attempt_pushed_is_nobodys_where_it_is_not_looked_for() {
    fails_without(Rule::LostPush, Setting { goes_back: false, ..ONE }, "is looked for by nobody");
}

#[test]
fn what_was_pushed_would_be_said_to_be_nowhere_by_who_has_not_looked() {
    fails_without(Rule::WhoLooked, Setting { goes_back: false, ..ONE }, "is said to be nowhere");
}

#[test]
fn what_is_said_over_any_revision_takes_the_job_from_its_runner() {
    fails_without(Rule::JobOverRev, TALK, "the slot of job 0");
}
