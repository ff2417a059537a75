//! Explores waiting reviews.

use super::*;

/// Two reviews during a job, each delivered twice, and one hour.
const TWO: Setting = Setting {
    reviews: 2,
    requests: 0,
    redeliveries: 1,
    concurrent_delivery: false,
    settlers: 1,
    faults: 0,
    closes: 0,
    holds: 0,
    job_running: true,
    next_job_without_reviews: false,
    hours: 1,
};

const NO_REDELIVERY: Setting = Setting { redeliveries: 0, ..TWO };

const NEXT_JOB_WITHOUT_REVIEWS: Setting =
    Setting { reviews: 1, job_running: false, next_job_without_reviews: true, ..NO_REDELIVERY };

#[track_caller]
fn check(name: &str, settings: &[Setting]) {
    crate::explore::check(name, settings, explore);
}

#[test]
fn no_review_is_lost_or_covered_twice() {
    check("redelivered", &[TWO, Setting { job_running: false, ..TWO }]);
    check(
        "two settlings",
        &[Setting { settlers: 2, ..NO_REDELIVERY }, Setting { settlers: 2, job_running: false, ..TWO }],
    );
    check("told twice at once", &[Setting { concurrent_delivery: true, ..NO_REDELIVERY }]);
}

#[test]
fn deaths_and_lost_answers_lose_no_review() {
    check("faults", &[Setting { faults: 2, ..NO_REDELIVERY }, Setting { faults: 1, settlers: 2, ..NO_REDELIVERY }]);
}

#[test]
fn three_reviews_are_neither_lost_nor_covered_twice() {
    check("three reviews", &[Setting { reviews: 3, ..NO_REDELIVERY }]);
}

#[test]
fn closing_and_reopening_a_pr_loses_no_review() {
    check(
        "closed",
        &[Setting { closes: 2, settlers: 2, ..NO_REDELIVERY }, Setting { closes: 2, faults: 1, ..NO_REDELIVERY }],
    );
}

#[test]
fn holding_and_releasing_a_project_loses_no_review() {
    check(
        "held",
        &[Setting { holds: 2, settlers: 2, ..NO_REDELIVERY }, Setting { holds: 1, faults: 1, ..NO_REDELIVERY }],
    );
}

#[test]
fn requested_revision_skips_the_hour_between_revisions() {
    for requests in 1..=3 {
        check(
            "requests",
            &[Setting { requests, settlers: 2, ..NO_REDELIVERY }, Setting { requests, faults: 1, ..NO_REDELIVERY }],
        );
    }
    check("a request of three", &[Setting { reviews: 3, requests: 1, hours: 0, ..NO_REDELIVERY }]);
}

#[test]
fn review_of_a_failed_job_gets_one_more_job() {
    let again =
        Setting { redeliveries: 1, concurrent_delivery: true, settlers: 2, faults: 1, ..NEXT_JOB_WITHOUT_REVIEWS };
    check(
        "alone",
        &[again, Setting { reviews: 2, ..NEXT_JOB_WITHOUT_REVIEWS }, Setting { holds: 2, ..NEXT_JOB_WITHOUT_REVIEWS }],
    );
}

/// Takes minutes and gigabytes. `cargo test --release -p pullyard-models -- --ignored reviews`
#[test]
#[ignore = "takes minutes"]
fn all_review_faults_together() {
    check(
        "everything",
        &[
            Setting { settlers: 2, ..TWO },
            Setting { concurrent_delivery: true, ..TWO },
            Setting { faults: 1, closes: 2, requests: 1, settlers: 2, ..NO_REDELIVERY },
            Setting { faults: 1, closes: 1, holds: 1, settlers: 2, ..NO_REDELIVERY },
            Setting { reviews: 3, settlers: 2, requests: 2, ..NO_REDELIVERY },
            Setting { reviews: 3, faults: 1, ..NO_REDELIVERY },
            Setting { reviews: 2, settlers: 2, faults: 1, ..NEXT_JOB_WITHOUT_REVIEWS },
        ],
    );
}
