//! Explores jobs on Fargate.

use super::*;

/// Within the grace after a death, and beyond it.
const SHORT: Moments = Moments(&[0, 20, 130]);

/// Also beyond the deadline of a start.
const LONG: Moments = Moments(&[0, 20, 130, 450]);

/// The first start is given up, and the task of the second one dies.
const SILENCE: Moments = Moments(&[0, 310, 320, 340]);

/// One dispatcher and one task; the only fault is time.
const ONE: Setting =
    Setting { dispatchers: 1, tasks: 1, faults: 0, deaths: 0, deliveries: 0, clock_skew_secs: 0, moments: SHORT };

/// A second task, of the same attempt or of the next.
const TWO: Setting = Setting { tasks: 2, moments: LONG, ..ONE };

const DEATH: Setting = Setting { tasks: 2, deaths: 1, moments: SHORT, ..ONE };

const SECOND_ENTRY: Setting = Setting { tasks: 2, deliveries: 1, moments: Moments(&[0]), ..ONE };

#[track_caller]
fn check(name: &str, settings: &[Setting]) {
    crate::explore::check(name, settings, explore);
}

#[test]
fn slow_or_silent_start_leaves_no_job_unfinished() {
    check("starts", &[ONE, Setting { tasks: 3, moments: LONG, ..ONE }]);
}

#[test]
fn task_death_leaves_no_job_unfinished() {
    check(
        "deaths",
        &[
            DEATH,
            Setting { moments: SILENCE, ..DEATH },
            Setting { faults: 1, ..DEATH },
            Setting { deaths: 2, tasks: 3, ..DEATH },
        ],
    );
}

#[test]
fn missing_capacity_and_lost_answers_start_no_second_task() {
    check("faults", &[Setting { faults: 3, ..ONE }, Setting { faults: 1, moments: LONG, ..TWO }]);
}

#[test]
fn two_dispatchers_create_one_task_per_start() {
    check("dispatchers", &[Setting { dispatchers: 2, faults: 1, ..ONE }]);
}

#[test]
fn second_entry_is_answered_once_at_any_moment() {
    check(
        "entries",
        &[SECOND_ENTRY, Setting { deliveries: 2, tasks: 1, ..SECOND_ENTRY }, Setting { deaths: 1, ..SECOND_ENTRY }],
    );
}

#[test]
fn differing_clocks_leave_no_job_unfinished() {
    check("apart", &[Setting { clock_skew_secs: 180, ..DEATH }, Setting { clock_skew_secs: -180, ..DEATH }]);
}

/// Takes minutes. `cargo test --release -p pullyard-models -- --ignored fargate`
#[test]
#[ignore = "takes minutes"]
fn all_fargate_faults_together() {
    check(
        "everything on Fargate",
        &[
            Setting { dispatchers: 2, deaths: 2, faults: 2, tasks: 3, moments: LONG, ..ONE },
            Setting { dispatchers: 2, deaths: 1, faults: 1, deliveries: 2, moments: SHORT, ..TWO },
            Setting { deaths: 2, faults: 1, tasks: 3, moments: LONG, clock_skew_secs: 240, ..ONE },
            Setting { deaths: 2, faults: 1, tasks: 3, moments: LONG, clock_skew_secs: -240, ..ONE },
        ],
    );
}
