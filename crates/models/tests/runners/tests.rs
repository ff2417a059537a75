//! Explores jobs on self-hosted runners: all rules together keep the invariants, and each omitted rule breaks one.

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
    without: None,
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

#[track_caller]
fn fails_without(rule: Rule, setting: Setting, expected: &str) {
    crate::explore::is_missed(rule, explore(Setting { without: Some(rule), ..setting }), expected);
}

#[test]
fn job_write_without_rev_check_gives_two_runners_one_job() {
    fails_without(Rule::JobOverRev, RACE, "the slot of job 0");
    fails_without(Rule::JobOverRev, PAIRS, "the slot of job");
}

#[test]
fn unfenced_runner_writes_for_another_attempt() {
    fails_without(Rule::Fence, RACE, "is written of job 0 in another's name");
    // Also with two tickets, if a sweeper's clock ended the job too early.
    fails_without(Rule::Fence, Setting { ahead: 180, ..PAIRS }, "in another's name");
}

#[test]
fn offline_mark_without_heartbeat_check_takes_a_live_job() {
    fails_without(Rule::OfflineOverHeartbeat, Setting { moments: LONG, ..ONE }, "was heard and loses");
}

#[test]
fn end_without_epoch_check_takes_job_of_a_live_runner() {
    fails_without(Rule::EndOverEpoch, ONE, "was heard and loses");
}

#[test]
fn end_over_an_old_heartbeat_takes_a_running_job() {
    fails_without(Rule::GhostOverHeartbeat, Setting { moments: LONG, ..ONE }, "says that it runs");
}

#[test]
fn runner_pushes_a_lost_job_without_push_window() {
    fails_without(Rule::PushUntil, ONE, "which it does not hold");
}

#[test]
fn push_window_counted_from_the_answer_outlives_the_lease() {
    fails_without(Rule::PushFromAsking, ONE, "which it does not hold");
}

#[test]
fn repeated_claim_without_claim_record_gets_two_attempts() {
    fails_without(Rule::LastClaim, Setting { faults: 1, ..ONE }, "one claim");
}

#[test]
fn doubled_claim_without_claim_record_gets_two_attempts() {
    fails_without(Rule::LastClaim, Setting { doubles: 1, ..PAIRS }, "got two attempts");
}

#[test]
fn push_without_expected_head_moves_branch_twice() {
    fails_without(Rule::ExpectedHead, ONE, "moves twice");
}

#[test]
fn slot_emptied_without_claim_check_loses_a_running_job() {
    fails_without(Rule::SlotOfClaim, Setting { sweepers: 2, ..ONE }, "and it ought: true");
}

#[test]
fn refusal_from_a_stale_read_takes_a_runners_own_job() {
    fails_without(Rule::LookAgain, Setting { lags: true, ..ONE }, "which it holds");
}

#[test]
fn question_without_input_check_waits_despite_an_answer() {
    fails_without(Rule::NothingUnread, TALK, "waits for an answer that it has");
}

#[test]
fn withdrawn_pause_suspends_the_job_without_pause_check() {
    fails_without(Rule::PauseIsWanted, PAUSE, "is paused, and nobody wants that");
}

#[test]
fn requeue_that_ignores_a_pause_leaves_the_job_ready() {
    fails_without(Rule::RequeuePauses, PAUSE, "goes on, and was to be paused");
}

#[test]
fn repeated_input_counts_twice_without_its_key() {
    fails_without(Rule::SaidOnce, Setting { faults: 1, ..TALK }, "counts 2 inputs of 1");
}

#[test]
fn suspension_without_time_limit_never_ends() {
    fails_without(Rule::RestEnds, PAUSE, "is left hanging: Paused");
}

#[test]
fn separate_badge_write_hides_a_suspension() {
    fails_without(Rule::BadgeWithJob, TALK, "its ticket says that it waits: false");
}

#[test]
fn lost_push_is_never_found_without_adoption() {
    fails_without(Rule::LostPush, Setting { goes_back: false, ..ONE }, "is looked for by nobody");
}

#[test]
fn unverified_nothing_pushed_report_contradicts_a_push() {
    fails_without(Rule::WhoLooked, Setting { goes_back: false, ..ONE }, "is said to be nowhere");
}

#[test]
fn input_without_rev_check_takes_the_job_from_its_runner() {
    fails_without(Rule::JobOverRev, TALK, "the slot of job 0");
}
