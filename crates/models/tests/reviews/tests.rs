//! Explores waiting reviews.

use super::*;

/// Two reviews during a job, each delivered twice, and one hour.
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
};

const ONCE: Setting = Setting { redelivered: 0, ..TWO };

/// One review whose job may fail within the hour, and the ticket's next job without reviews.
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
fn deaths_and_lost_answers_lose_no_review() {
    check("faults", &[Setting { faults: 2, ..ONCE }, Setting { faults: 1, settlers: 2, ..ONCE }]);
}

#[test]
fn three_reviews_are_neither_lost_nor_covered_twice() {
    check("three reviews", &[Setting { reviews: 3, ..ONCE }]);
}

#[test]
fn closing_and_reopening_a_pr_loses_no_review() {
    check("closed", &[Setting { closes: 2, settlers: 2, ..ONCE }, Setting { closes: 2, faults: 1, ..ONCE }]);
}

#[test]
fn holding_and_releasing_a_project_loses_no_review() {
    check("held", &[Setting { holds: 2, settlers: 2, ..ONCE }, Setting { holds: 1, faults: 1, ..ONCE }]);
}

#[test]
fn requested_revision_skips_the_hour_between_revisions() {
    for requests in 1..=3 {
        check("requests", &[Setting { requests, settlers: 2, ..ONCE }, Setting { requests, faults: 1, ..ONCE }]);
    }
    check("a request of three", &[Setting { reviews: 3, requests: 1, hours: 0, ..ONCE }]);
}

#[test]
fn review_of_a_failed_job_gets_one_more_job() {
    let again = Setting { redelivered: 1, twice_at_once: true, settlers: 2, faults: 1, ..ALONE };
    check("alone", &[again, Setting { reviews: 2, ..ALONE }, Setting { holds: 2, ..ALONE }]);
}

/// Takes minutes and gigabytes. `cargo test --release -p pullyard-models -- --ignored reviews`
#[test]
#[ignore = "takes minutes"]
fn all_review_faults_together() {
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
