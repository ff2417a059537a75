//! Explores jobs on self-hosted runners.

use super::alike::Swap;
use super::state::State;
use super::world::World;
use super::*;
use crate::explore::World as _;
use std::collections::{BTreeSet, HashSet};

/// Jobs are claimed only at the start.
const NOW: Moments = Moments(&[0]);

/// At the second moment a heartbeat may end a job by its slot's age, and no runner is silent for too long.
const MINUTE: Moments = Moments(&[0, 65]);

/// At the second moment every limit of seconds and minutes has passed.
const MINUTES: Moments = Moments(&[0, 125]);

/// Between the second and third moment no limit passes.
const LONG: Moments = Moments(&[0, 125, 145]);

/// One job, one runner, one sweeper; the only fault is time.
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
};

/// Two runners compete for one job.
const RACE: Setting = Setting { runners: 2, ..ONE };

#[track_caller]
fn check(name: &str, settings: &[Setting]) {
    crate::explore::check(name, settings, explore);
}

#[test]
fn silent_runner_leaves_no_job_unfinished() {
    check("one", &[ONE, Setting { goes_back: false, ..ONE }, Setting { sweepers: 2, ..ONE }]);
}

#[test]
fn lost_answers_start_no_second_attempt() {
    check("faults", &[Setting { faults: 2, ..ONE }]);
}

#[test]
fn cancel_ends_the_job_once_at_any_moment() {
    check("cancel", &[Setting { cancels: 1, ..ONE }]);
}

/// The user pauses and resumes; the agent has a question, and the user answers.
const PAUSE: Setting = Setting { pauses: 1, ..ONE };
const TALK: Setting = Setting { says: 1, questions: 1, moments: NOW, ..ONE };

#[test]
fn pause_holds_until_it_is_withdrawn() {
    check("pause", &[PAUSE, Setting { pauses: 2, moments: NOW, ..ONE }]);
}

#[test]
fn late_call_during_a_pause_takes_no_job() {
    check("pause, a call that comes twice", &[Setting { pauses: 1, doubles: 1, moments: NOW, ..ONE }]);
}

#[test]
fn question_waits_for_its_own_answer() {
    check(
        "question",
        &[Setting { moments: MINUTES, ..TALK }, Setting { says: 2, ..TALK }, Setting { faults: 1, ..TALK }],
    );
}

#[test]
fn concurrent_user_requests_end_the_job_once() {
    check("wishes", &[Setting { pauses: 1, cancels: 1, ..TALK }, Setting { lags: true, moments: NOW, ..PAUSE }]);
}

#[test]
fn suspended_job_resumes_on_another_runner() {
    check("two runners, paused", &[Setting { runners: 2, moments: NOW, ..PAUSE }]);
}

#[test]
fn two_runners_never_hold_one_job() {
    check("two runners", &[Setting { moments: NOW, ..RACE }]);
}

#[test]
fn stale_reads_cause_no_wrong_write() {
    check("late reads", &[Setting { lags: true, ..ONE }, Setting { lags: true, moments: NOW, ..RACE }]);
}

#[test]
fn differing_clocks_leave_slots_and_tickets_consistent() {
    check("apart", &[Setting { ahead: 180, ..ONE }, Setting { ahead: -180, ..ONE }]);
}

/// Two tickets on two runners. `two_tickets_and_two_runners` covers runners that return after hours, because they cause
/// most of the states.
const PAIRS: Setting = Setting { jobs: 2, runners: 2, moments: NOW, hours: false, alike: true, ..ONE };

#[test]
fn lost_answers_start_no_second_attempt_of_two_tickets() {
    check("pairs, lost answers", &[PAIRS, Setting { sweepers: 2, ..PAIRS }, Setting { faults: 2, ..PAIRS }]);
}

#[test]
fn doubled_calls_of_two_tickets_count_once() {
    check("pairs, calls that come twice", &[Setting { doubles: 1, ..PAIRS }, Setting { doubles: 2, ..PAIRS }]);
}

#[test]
fn dying_processes_of_two_tickets_lose_no_job() {
    check("pairs, processes that die", &[Setting { crashes: 2, ..PAIRS }]);
    check("a process that dies", &[Setting { runners: 2, moments: MINUTE, crashes: 1, hours: false, ..ONE }]);
}

#[test]
fn stale_reads_of_two_tickets_cause_no_wrong_write() {
    check("pairs, late reads", &[Setting { lags: true, ..PAIRS }, Setting { lags: true, faults: 1, ..PAIRS }]);
}

#[test]
fn differing_clocks_leave_slots_of_two_tickets_consistent() {
    check("pairs, clocks apart", &[Setting { ahead: 180, ..PAIRS }, Setting { ahead: -180, ..PAIRS }]);
}

#[test]
fn cancel_of_one_of_two_tickets_spares_the_other() {
    check("pairs, cancel", &[Setting { cancels: 1, ..PAIRS }]);
}

/// Two tickets on two runners, with runners that return after hours and several kinds of faults on one path.
/// `cargo test --release -p pullyard-models -- --ignored --nocapture two_tickets`
#[test]
#[ignore = "takes minutes in a debug build"]
fn two_tickets_and_two_runners() {
    let faults = Setting { faults: 1, doubles: 1, crashes: 1, lags: true, ..PAIRS };
    let apart = Setting { ahead: 180, ..PAIRS };
    let apart = [Setting { doubles: 1, lags: true, ..apart }, Setting { sweepers: 2, ..apart }];
    // By then the job of a dead process is found, and the other runner claims it.
    let dies = Setting { moments: MINUTE, crashes: 1, faults: 1, lags: true, ..PAIRS };
    let twice = Setting { moments: MINUTE, doubles: 1, ..PAIRS };
    check("two tickets, two runners, hours", &[Setting { hours: true, ..PAIRS }]);
    check("two tickets, two runners, one fault of each kind", &[faults]);
    check("two tickets, two runners, clocks apart", &apart);
    check("two tickets, two runners, a process that dies", &[dies]);
    check("two tickets, two runners, a call that comes a minute late", &[twice]);
}

/// Asserts that a swap of names changes neither the next states nor the invariants of any reachable state.
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
fn renamed_states_have_the_same_next_states() {
    names_make_no_difference(Setting { lags: true, ..PAIRS });
    names_make_no_difference(Setting { doubles: 1, ..PAIRS });
    names_make_no_difference(Setting { pauses: 1, runners: 1, ..PAIRS });
    names_make_no_difference(Setting { says: 1, questions: 1, runners: 1, ..PAIRS });
    names_make_no_difference(Setting { jobs: 1, crashes: 1, moments: MINUTE, ..PAIRS });
}

/// Takes minutes. `cargo test --release -p pullyard-models -- --ignored runners`
#[test]
#[ignore = "takes minutes"]
fn all_runner_faults_together() {
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
