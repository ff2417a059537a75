use super::*;

/// Within the grace after a death, and beyond what a push may take.
const SHORT: Moments = Moments(&[0, 20, 130]);

/// Beyond the deadline of a start as well.
const LONG: Moments = Moments(&[0, 20, 130, 450]);

/// The first start is given up and the second one's task dies.
const SILENCE: Moments = Moments(&[0, 310, 320, 340]);

/// One dispatcher, one task, nothing goes wrong but time.
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

/// A task dies.
const DEATH: Setting = Setting { tasks: 2, deaths: 1, moments: SHORT, ..ONE };

/// The ticket enters a second time.
const AGAIN: Setting = Setting { tasks: 2, tellings: 1, moments: Moments(&[0]), ..ONE };

#[track_caller]
fn check(name: &str, settings: &[Setting]) {
    crate::explore::check(name, settings, explore);
}

#[test]
fn a_start_that_may_be_slow_or_silent_leaves_nothing_hanging() {
    check("starts", &[ONE, Setting { goes_back: false, ..ONE }, Setting { tasks: 3, moments: LONG, ..ONE }]);
}

#[test]
fn a_death_at_any_moment_whose_state_change_may_be_lost_or_doubled_leaves_nothing_hanging() {
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
fn missing_capacity_and_lost_answers_start_nothing_twice() {
    check("faults", &[Setting { faults: 3, ..ONE }, Setting { faults: 1, moments: LONG, ..TWO }]);
}

#[test]
fn two_dispatchers_agree_on_a_start() {
    check("dispatchers", &[Setting { dispatchers: 2, faults: 1, ..ONE }]);
}

#[test]
fn a_second_entry_at_any_moment_is_answered_once() {
    check("entries", &[AGAIN, Setting { tellings: 2, tasks: 1, ..AGAIN }, Setting { deaths: 1, ..AGAIN }]);
}

#[test]
fn clocks_that_are_minutes_apart_move_a_branch_once_and_leave_nothing_hanging() {
    check("apart", &[Setting { ahead: 180, ..DEATH }, Setting { ahead: -180, ..DEATH }]);
}

/// Everything at once: minutes. `cargo test --release -p pullyard-models -- --ignored fargate`
#[test]
#[ignore = "takes minutes"]
fn dispatchers_deaths_faults_entries_and_clocks_at_once() {
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

/// Without this rule something happens that must not.
#[track_caller]
fn fails_without(rule: Rule, setting: Setting, expected: &str) {
    crate::explore::is_missed(rule, explore(Setting { without: Some(rule), ..setting }), expected);
}

#[test]
fn functions_that_write_a_job_over_any_revision_undo_one_another() {
    fails_without(Rule::JobOverRev, ONE, "its ticket names it");
}

#[test]
fn functions_that_write_a_ticket_over_any_revision_forget_its_job() {
    fails_without(Rule::TicketOverRev, AGAIN, "its ticket names it");
}

#[test]
fn a_task_whose_calls_are_not_held_against_its_claim_goes_on_in_anothers_name() {
    fails_without(Rule::Fence, Setting { moments: LONG, ..DEATH }, "which it does not hold");
}

#[test]
fn a_task_that_claims_whatever_attempt_is_next_holds_one_it_was_not_started_for() {
    fails_without(Rule::ClaimAttempt, Setting { moments: SILENCE, ..DEATH }, "was started for another");
}

#[test]
fn a_claim_of_a_task_whose_death_was_noted_is_waited_for_in_vain() {
    fails_without(Rule::DeadTask, DEATH, "whose death was noted");
}

#[test]
fn a_start_that_is_asked_for_again_without_its_token_gets_a_second_task() {
    fails_without(Rule::ClientToken, Setting { faults: 1, ..DEATH }, "gets a second task");
}

#[test]
fn a_job_taken_away_while_it_may_push_is_pushed_by_nobody_who_holds_it() {
    fails_without(Rule::PushUntil, DEATH, "which it does not hold");
}

#[test]
fn a_push_that_expects_no_head_moves_a_branch_twice_where_clocks_are_apart() {
    fails_without(Rule::ExpectedHead, Setting { ahead: 180, moments: LONG, ..DEATH }, "moves twice");
}

#[test]
fn what_a_lost_attempt_pushed_is_nobodys_where_it_is_not_looked_for() {
    fails_without(Rule::LostPush, Setting { goes_back: false, ..DEATH }, "is looked for by nobody");
}

#[test]
fn what_was_pushed_would_be_said_to_be_nowhere_by_who_has_not_looked() {
    fails_without(Rule::WhoLooked, Setting { goes_back: false, ..DEATH }, "is said to be nowhere");
}

#[test]
fn an_event_that_was_no_entry_and_is_stored_over_a_newer_status_hides_the_entry() {
    fails_without(Rule::Unchanged, AGAIN, "without an answer");
}

#[test]
fn an_end_that_forgets_the_second_entry_leaves_it_without_an_answer() {
    fails_without(Rule::Again, AGAIN, "without an answer");
}
