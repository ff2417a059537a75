//! Explores jobs on self-hosted runners.

use super::*;

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
    doubled_calls: 0,
    crashes: 0,
    cancels: 0,
    pauses: 0,
    inputs: 0,
    questions: 0,
    moments: MINUTES,
    works_for_hours: true,
    clock_skew_secs: 0,
    requeues: true,
};

const RACE: Setting = Setting { runners: 2, ..ONE };

#[track_caller]
fn check(name: &str, settings: &[Setting]) {
    crate::explore::check(name, settings, explore);
}

#[test]
fn silent_runner_leaves_no_job_unfinished() {
    check("one", &[ONE, Setting { requeues: false, ..ONE }, Setting { sweepers: 2, ..ONE }]);
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
const QUESTION: Setting = Setting { inputs: 1, questions: 1, moments: NOW, ..ONE };

#[test]
fn pause_holds_until_it_is_withdrawn() {
    check("pause", &[PAUSE, Setting { pauses: 2, moments: NOW, ..ONE }]);
}

#[test]
fn late_call_during_a_pause_takes_no_job() {
    check("pause, a call that comes twice", &[Setting { pauses: 1, doubled_calls: 1, moments: NOW, ..ONE }]);
}

#[test]
fn question_waits_for_its_own_answer() {
    check(
        "question",
        &[
            Setting { moments: MINUTES, ..QUESTION },
            Setting { inputs: 2, ..QUESTION },
            Setting { faults: 1, ..QUESTION },
        ],
    );
}

#[test]
fn concurrent_user_requests_end_the_job_once() {
    check("wishes", &[Setting { pauses: 1, cancels: 1, ..QUESTION }]);
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
fn differing_clocks_leave_slots_and_tickets_consistent() {
    check("apart", &[Setting { clock_skew_secs: 180, ..ONE }, Setting { clock_skew_secs: -180, ..ONE }]);
}

/// Two tickets compete for the one slot of a runner.
const PAIR: Setting = Setting { jobs: 2, moments: NOW, works_for_hours: false, ..ONE };

#[test]
fn lost_and_doubled_calls_of_two_tickets_count_once() {
    check("two tickets, lost answers", &[PAIR, Setting { sweepers: 2, ..PAIR }, Setting { faults: 2, ..PAIR }]);
    check(
        "two tickets, calls that come twice",
        &[Setting { doubled_calls: 1, ..PAIR }, Setting { doubled_calls: 2, ..PAIR }],
    );
}

#[test]
fn dying_processes_lose_no_job() {
    check("two tickets, processes that die", &[Setting { crashes: 2, ..PAIR }]);
    check("a process that dies", &[Setting { crashes: 1, moments: MINUTE, works_for_hours: false, ..RACE }]);
}

#[test]
fn cancel_and_clocks_keep_two_tickets_consistent() {
    check("two tickets, cancel", &[Setting { cancels: 1, ..PAIR }]);
    check(
        "two tickets, clocks apart",
        &[Setting { clock_skew_secs: 180, ..PAIR }, Setting { clock_skew_secs: -180, ..PAIR }],
    );
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
            Setting { requeues: false, faults: 1, ..PAUSE },
            Setting { pauses: 1, cancels: 1, inputs: 2, faults: 1, ..QUESTION },
        ],
    );
}
