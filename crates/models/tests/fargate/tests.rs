//! Explores jobs on Fargate: all rules together keep the invariants, and each omitted rule breaks one.

use super::*;

/// Within the grace after a death, and beyond the push window.
const SHORT: Moments = Moments(&[0, 20, 130]);

/// Also beyond the deadline of a start.
const LONG: Moments = Moments(&[0, 20, 130, 450]);

/// The first start is given up, and the task of the second one dies.
const SILENCE: Moments = Moments(&[0, 310, 320, 340]);

/// One dispatcher and one task; the only fault is time.
const ONE: Setting = Setting {
    dispatchers: 1,
    tasks: 1,
    faults: 0,
    deaths: 0,
    tellings: 0,
    ahead: 0,
    moments: SHORT,
    goes_back: true,
    without: None,
};

/// A second task, of the same attempt or of the next.
const TWO: Setting = Setting { tasks: 2, moments: LONG, ..ONE };

const DEATH: Setting = Setting { tasks: 2, deaths: 1, moments: SHORT, ..ONE };

const AGAIN: Setting = Setting { tasks: 2, tellings: 1, moments: Moments(&[0]), ..ONE };

#[track_caller]
fn check(name: &str, settings: &[Setting]) {
    crate::explore::check(name, settings, explore);
}

#[test]
fn slow_or_silent_start_leaves_no_job_unfinished() {
    check("starts", &[ONE, Setting { goes_back: false, ..ONE }, Setting { tasks: 3, moments: LONG, ..ONE }]);
}

#[test]
fn task_death_leaves_no_job_unfinished() {
    check(
        "deaths",
        &[
            DEATH,
            Setting { moments: SILENCE, ..DEATH },
            Setting { goes_back: false, ..DEATH },
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
    check("entries", &[AGAIN, Setting { tellings: 2, tasks: 1, ..AGAIN }, Setting { deaths: 1, ..AGAIN }]);
}

#[test]
fn differing_clocks_move_a_branch_at_most_once() {
    check("apart", &[Setting { ahead: 180, ..DEATH }, Setting { ahead: -180, ..DEATH }]);
}

/// Takes minutes. `cargo test --release -p pullyard-models -- --ignored fargate`
#[test]
#[ignore = "takes minutes"]
fn all_fargate_faults_together() {
    check(
        "everything on Fargate",
        &[
            Setting { dispatchers: 2, deaths: 2, faults: 2, tasks: 3, moments: LONG, ..ONE },
            Setting { dispatchers: 2, deaths: 1, faults: 1, tellings: 2, moments: SHORT, ..TWO },
            Setting { deaths: 2, faults: 1, tasks: 3, moments: LONG, ahead: 240, ..ONE },
            Setting { deaths: 2, faults: 1, tasks: 3, moments: LONG, ahead: -240, ..ONE },
        ],
    );
}

#[track_caller]
fn fails_without(rule: Rule, setting: Setting, expected: &str) {
    crate::explore::is_missed(rule, explore(Setting { without: Some(rule), ..setting }), expected);
}

#[test]
fn job_write_without_rev_check_breaks_the_ticket_lock() {
    fails_without(Rule::JobOverRev, ONE, "its ticket names it");
}

#[test]
fn ticket_write_without_rev_check_forgets_its_job() {
    fails_without(Rule::TicketOverRev, AGAIN, "its ticket names it");
}

#[test]
fn unfenced_task_pushes_a_job_it_does_not_hold() {
    fails_without(Rule::Fence, Setting { moments: LONG, ..DEATH }, "which it does not hold");
}

#[test]
fn task_without_attempt_check_claims_a_later_attempt() {
    fails_without(Rule::ClaimAttempt, Setting { moments: SILENCE, ..DEATH }, "was started for another");
}

#[test]
fn dead_task_claims_its_job_without_death_check() {
    fails_without(Rule::DeadTask, DEATH, "whose death was noted");
}

#[test]
fn repeated_start_without_token_creates_second_task() {
    fails_without(Rule::ClientToken, Setting { faults: 1, ..DEATH }, "gets a second task");
}

#[test]
fn task_pushes_a_lost_job_without_push_window() {
    fails_without(Rule::PushUntil, DEATH, "which it does not hold");
}

#[test]
fn push_without_expected_head_moves_branch_twice() {
    fails_without(Rule::ExpectedHead, Setting { ahead: 180, moments: LONG, ..DEATH }, "moves twice");
}

#[test]
fn lost_push_is_never_found_without_adoption() {
    fails_without(Rule::LostPush, Setting { goes_back: false, ..DEATH }, "is looked for by nobody");
}

#[test]
fn unverified_nothing_pushed_report_contradicts_a_push() {
    fails_without(Rule::WhoLooked, Setting { goes_back: false, ..DEATH }, "is said to be nowhere");
}

#[test]
fn non_entry_event_over_newer_status_hides_the_entry() {
    fails_without(Rule::Unchanged, AGAIN, "without an answer");
}

#[test]
fn job_end_that_drops_second_entry_leaves_it_unanswered() {
    fails_without(Rule::Again, AGAIN, "without an answer");
}
