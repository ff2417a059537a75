use super::*;

/// Two reviews while a job runs, each delivered twice, and the hour after it.
const TWO: Setting = Setting {
    reviews: 2,
    requests: 0,
    redelivered: 1,
    twice_at_once: false,
    settlers: 1,
    faults: 0,
    closes: 0,
    holds: 0,
    busy: true,
    alone: false,
    hours: 1,
    without: None,
};

/// The same, each delivered until it is answered.
const ONCE: Setting = Setting { redelivered: 0, ..TWO };

/// One review whose job may fail before the hour is over, and the ticket's next job, which is told of nothing.
const ALONE: Setting = Setting { reviews: 1, busy: false, alone: true, ..ONCE };

#[track_caller]
fn check(name: &str, settings: &[Setting]) {
    crate::explore::check(name, settings, explore);
}

#[test]
fn no_review_is_lost_or_covered_twice() {
    check("redelivered", &[TWO, Setting { busy: false, ..TWO }]);
    check("two settlings", &[Setting { settlers: 2, ..ONCE }, Setting { settlers: 2, busy: false, ..TWO }]);
    check("told twice at once", &[Setting { twice_at_once: true, ..ONCE }]);
}

#[test]
fn a_death_after_any_write_and_an_answer_lost_lose_no_review() {
    check("faults", &[Setting { faults: 2, ..ONCE }, Setting { faults: 1, settlers: 2, ..ONCE }]);
}

#[test]
fn three_reviews_wait_for_one_job() {
    check("three reviews", &[Setting { reviews: 3, ..ONCE }]);
}

#[test]
fn a_pull_request_that_is_closed_and_reopened_leaves_no_review_without_answer() {
    check("closed", &[Setting { closes: 2, settlers: 2, ..ONCE }, Setting { closes: 2, faults: 1, ..ONCE }]);
}

#[test]
fn a_project_that_is_held_and_released_loses_no_review() {
    check("held", &[Setting { holds: 2, settlers: 2, ..ONCE }, Setting { holds: 1, faults: 1, ..ONCE }]);
}

#[test]
fn a_persons_request_goes_before_the_hour_and_keeps_it_for_others() {
    for requests in 1..=3 {
        check("requests", &[Setting { requests, settlers: 2, ..ONCE }, Setting { requests, faults: 1, ..ONCE }]);
    }
    check("a request of three", &[Setting { reviews: 3, requests: 1, hours: 0, ..ONCE }]);
}

#[test]
fn what_a_failed_job_had_and_the_next_is_not_told_of_gets_one_job_more() {
    let again = Setting { redelivered: 1, twice_at_once: true, settlers: 2, faults: 1, ..ALONE };
    check("alone", &[again, Setting { reviews: 2, ..ALONE }, Setting { holds: 2, ..ALONE }]);
}

/// Everything at once: minutes, and gigabytes. `cargo test --release -p pullyard-models -- --ignored reviews`
#[test]
#[ignore = "takes minutes"]
fn everything_at_once() {
    check(
        "everything",
        &[
            Setting { settlers: 2, ..TWO },
            Setting { twice_at_once: true, ..TWO },
            Setting { faults: 1, closes: 2, requests: 1, settlers: 2, ..ONCE },
            Setting { faults: 1, closes: 1, holds: 1, settlers: 2, ..ONCE },
            Setting { reviews: 3, settlers: 2, requests: 2, ..ONCE },
            Setting { reviews: 3, faults: 1, ..ONCE },
            Setting { reviews: 2, settlers: 2, faults: 1, ..ALONE },
        ],
    );
}

/// Without this rule a review is lost or covered twice, or jobs get in each other's way.
#[track_caller]
fn fails_without(rule: Rule, setting: Setting, expected: &str) {
    crate::explore::is_missed(rule, explore(Setting { without: Some(rule), ..setting }), expected);
}

#[test]
fn a_remembering_that_raises_no_revision_is_overlooked() {
    fails_without(Rule::RememberRaisesRev, TWO, "is lost");
}

#[test]
fn older_reviews_that_are_not_absorbed_are_lost() {
    fails_without(Rule::Absorb, TWO, "is lost");
}

#[test]
fn absorbing_without_a_look_at_the_newest_loses_a_review() {
    fails_without(Rule::AbsorbChecksNewest, Setting { settlers: 2, closes: 2, ..ONCE }, "is lost");
}

#[test]
fn a_waiting_review_that_starts_a_job_when_told_again_passes_the_others() {
    fails_without(Rule::WaitingStartsNothing, TWO, "passes reviews that wait");
}

#[test]
fn a_job_whose_end_settles_nothing_leaves_reviews_behind() {
    fails_without(Rule::EndSettles, TWO, "is lost");
}

#[test]
fn a_mark_taken_off_over_any_revision_loses_a_review() {
    fails_without(Rule::ClearOverRev, TWO, "is lost");
}

#[test]
fn a_ledger_entry_of_its_own_follows_the_last_answer_with_the_first() {
    fails_without(Rule::EntryWithReview, TWO, "is lost");
}

#[test]
fn a_mark_of_its_own_is_lost_with_whoever_was_to_write_it() {
    fails_without(Rule::MarkWithReview, Setting { faults: 1, ..ONCE }, "is lost");
}

#[test]
fn an_absorbed_review_that_does_not_share_the_refusal_has_no_answer() {
    fails_without(Rule::RefuseTheAbsorbed, Setting { closes: 2, ..ONCE }, "is lost");
}

#[test]
fn refusing_a_review_that_has_absorbed_another_meanwhile_loses_that() {
    fails_without(Rule::RefuseAsRead, Setting { requests: 1, settlers: 2, ..ONCE }, "is lost");
}

#[test]
fn a_request_that_is_absorbed_and_forgotten_is_refused_for_the_hour() {
    fails_without(Rule::RequestsStayRequests, Setting { requests: 1, ..ONCE }, "is lost");
}

#[test]
fn a_failed_jobs_review_that_does_not_wait_for_the_next_is_lost() {
    fails_without(Rule::WaitAnew, ALONE, "is lost");
}

#[test]
fn a_review_that_waits_anew_for_the_job_it_had_waits_for_ever() {
    fails_without(Rule::NamedAfterLast, ALONE, "was made before");
}
