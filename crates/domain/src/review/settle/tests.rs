use super::*;
use crate::fixtures::{job_id, linked_pull_request, review_id, time_at};
use crate::review::RevisionRequest;
use crate::review::guard::tests::accepted_facts;
use crate::review::pull_request::{LastRevision, PullRequestState, REVISE_WINDOW};
use crate::ticket::LastOutcome;
use std::time::Duration;

fn review(name: &str, secs: u64, state: ReviewState) -> Review {
    Review { at: time_at(secs), ..crate::review::tests::review(name, secs, state) }
}

fn deferred_review(name: &str, secs: u64) -> Review {
    review(name, secs, ReviewState::Deferred {})
}

fn absorbed_review(name: &str, secs: u64, into: &str) -> Review {
    review(name, secs, ReviewState::Absorbed { into: review_id(into) })
}

fn as_user_request(review: Review) -> Review {
    Review { request: Some(RevisionRequest { message: None }), ..review }
}

fn settle_with(change: impl Fn(&mut ReviewFacts), all: &[Review]) -> Settlement {
    let pending = reviews_to_settle(all, |_| true);
    let mut facts = ReviewFacts { asks: combined_action(&pending), ..accepted_facts() };
    change(&mut facts);
    settle(&facts, &pending)
}

fn longest_ids(names: &[&str]) -> Vec<ReviewId> {
    names.iter().map(|name| review_id(name)).collect()
}

#[track_caller]
fn check_refused(change: impl Fn(&mut ReviewFacts), code: &str) {
    let all = [absorbed_review("a", 1, "b"), deferred_review("b", 2), deferred_review("c", 3)];
    match settle_with(change, &all) {
        Settlement::Refuse { newest, others, reason } => {
            assert_eq!((newest, others, reason.code()), (review_id("c"), longest_ids(&["a", "b"]), code));
        }
        other => panic!("{code}: {other:?}"),
    }
}

#[track_caller]
fn check_waits(change: impl Fn(&mut ReviewFacts), opens_at: Timestamp) {
    assert_eq!(settle_with(change, &[deferred_review("a", 1), deferred_review("b", 2)]), Settlement::Wait { opens_at });
}

fn set_last_revision(facts: &mut ReviewFacts, ago: Duration) {
    facts.revised = Some(LastRevision { at: facts.now.minus(ago), job: job_id("j0"), earlier: None });
}

#[test]
fn single_review_starts_its_job() {
    let job = JobId::for_review(&linked_pull_request().id, &review_id("a"));
    let start = Settlement::Start { review: review_id("a"), job };
    assert_eq!(settle_with(|_| {}, &[deferred_review("a", 1)]), start);
    assert_eq!(
        settle_with(|_| {}, &[deferred_review("a", 1), absorbed_review("b", 0, "a")]),
        start,
        "with absorbed reviews"
    );
}

#[test]
fn review_with_an_earlier_job_gets_a_stable_next_one() {
    let (linked, a) = (linked_pull_request().id, review_id("a"));
    let own = JobId::for_review(&linked, &a);
    let had =
        |had: &JobId| [Review { had: Some(had.clone()), ..deferred_review("a", 1) }, absorbed_review("b", 0, "a")];
    let second = JobId::for_review_after(&linked, &a, &own);
    for _ in 0..2 {
        let start = Settlement::Start { review: a.clone(), job: second.clone() };
        assert_eq!(settle_with(|_| {}, &had(&own)), start);
    }
    let third = Settlement::Start { review: a.clone(), job: JobId::for_review_after(&linked, &a, &second) };
    assert_eq!(settle_with(|_| {}, &had(&second)), third);
}

#[test]
fn older_reviews_are_absorbed_by_the_newest() {
    let all = [deferred_review("c", 3), deferred_review("a", 1), deferred_review("b", 2)];
    assert_eq!(settle_with(|_| {}, &all), Settlement::Absorb { into: review_id("c"), older: longest_ids(&["a", "b"]) });
}

#[test]
fn reviews_of_one_second_are_ordered_by_arrival_then_name() {
    let review_at = |name: &str, secs| Review { at: time_at(secs), ..deferred_review(name, 1) };
    let absorb = |into: &str, older: &[&str]| Settlement::Absorb { into: review_id(into), older: longest_ids(older) };
    assert_eq!(
        settle_with(|_| {}, &[review_at("a", 9), review_at("b", 7), review_at("c", 8)]),
        absorb("a", &["b", "c"])
    );
    for all in [["a", "b", "c"], ["c", "b", "a"]] {
        assert_eq!(settle_with(|_| {}, &all.map(|name| review_at(name, 7))), absorb("c", &["a", "b"]), "{all:?}");
    }
}

#[test]
fn absorption_is_limited_and_takes_the_oldest_first() {
    let all: Vec<Review> = (0..40).map(|n| deferred_review(&format!("r{n:02}"), n)).collect();
    let Settlement::Absorb { into, older } = settle_with(|_| {}, &all) else { panic!("not absorbed") };
    assert_eq!((into, older.len()), (review_id("r39"), MAX_ABSORBED));
    assert_eq!(older.first(), Some(&review_id("r00")));
}

#[test]
fn answered_reviews_leave_nothing_to_settle() {
    let started = review("a", 1, ReviewState::Started { job: job_id("j") });
    assert_eq!(settle_with(|_| {}, &[]), Settlement::Skip);
    assert_eq!(settle_with(|_| {}, &[absorbed_review("b", 0, "a"), started]), Settlement::Skip);
}

#[test]
fn reviews_of_another_ticket_are_not_settled() {
    let all = [deferred_review("a", 1), absorbed_review("b", 0, "a"), deferred_review("c", 3)];
    let ours = reviews_to_settle(&all, |review| review.id != review_id("a"));
    assert_eq!(ours.iter().map(|review| &review.id).collect::<Vec<_>>(), [&review_id("c")]);
}

#[test]
fn final_refusal_applies_to_all_with_the_newest_last() {
    let ticket = |facts: &mut ReviewFacts, closed, last_outcome| {
        let ticket = facts.ticket.as_mut().unwrap();
        (ticket.closed, ticket.last_outcome) = (closed, last_outcome);
    };
    check_refused(|facts| facts.connected = false, "repository_not_integrated");
    check_refused(|facts| facts.state = PullRequestState::Merged, "pull_request_closed");
    check_refused(|facts| facts.settings.as_mut().unwrap().revise_on_review = false, "retrigger_disabled");
    check_refused(|facts| facts.ticket = None, "no_linked_ticket");
    check_refused(|facts| ticket(facts, true, None), "ticket_inactive");
    check_refused(|facts| ticket(facts, false, Some(LastOutcome::Failed)), "previous_job_not_completed");
    check_refused(|facts| ticket(facts, false, Some(LastOutcome::Cancelled)), "previous_job_not_completed");
    check_refused(|facts| facts.spending = Some(crate::fixtures::spent_fact()), "ticket_limit");
}

#[test]
fn deferred_reviews_wait_while_the_limit_is_only_reserved() {
    let reserved = SpendingFact { spent_usd_micros: 45_000_000, ..crate::fixtures::spent_fact() };
    check_waits(|facts| facts.spending = Some(reserved.clone()), accepted_facts().now.plus(RESERVED_WAIT));
}

#[test]
fn deferred_reviews_wait_for_an_active_job_and_the_hour() {
    let now = accepted_facts().now;
    let ago = |millis: u64| move |facts: &mut ReviewFacts| set_last_revision(facts, Duration::from_millis(millis));
    check_waits(|facts| facts.ticket.as_mut().unwrap().active_job = Some(job_id("j")), now);
    check_waits(ago(0), now.plus(REVISE_WINDOW));
    check_waits(ago(3_599_999), now.plus(Duration::from_millis(1)));
    assert!(matches!(settle_with(ago(3_600_000), &[deferred_review("a", 1)]), Settlement::Start { .. }));
}

#[test]
fn deferred_reviews_wait_for_hold_and_budget() {
    let hold = |facts: &mut ReviewFacts| facts.settings.as_mut().unwrap().held_by = Some("ann".into());
    assert_eq!(settle_with(hold, &[deferred_review("a", 1)]), Settlement::Hold);
    assert_eq!(settle_with(crate::review::guard::tests::exhaust_budget, &[deferred_review("a", 1)]), Settlement::Hold);
}

#[test]
fn user_request_among_reviews_overrides_for_all() {
    let hinder = |facts: &mut ReviewFacts| {
        facts.settings.as_mut().unwrap().revise_on_review = false;
        facts.ticket.as_mut().unwrap().last_outcome = Some(LastOutcome::Failed);
        set_last_revision(facts, Duration::from_secs(1));
    };
    let absorb = Settlement::Absorb { into: review_id("b"), older: longest_ids(&["a"]) };
    assert_eq!(settle_with(hinder, &[as_user_request(deferred_review("a", 1)), deferred_review("b", 2)]), absorb);
    assert_eq!(settle_with(hinder, &[deferred_review("a", 1), as_user_request(deferred_review("b", 2))]), absorb);
    // An absorbed request still counts.
    let after = [as_user_request(absorbed_review("a", 1, "b")), deferred_review("b", 2)];
    assert!(matches!(settle_with(hinder, &after), Settlement::Start { .. }));
    // A request that another job covered does not count.
    let done = review("j", 3, ReviewState::Started { job: job_id("j") });
    let all = [as_user_request(absorbed_review("a", 1, "j")), done, deferred_review("b", 2)];
    assert!(matches!(settle_with(hinder, &all), Settlement::Refuse { .. }));
}

#[test]
fn repeated_review_raises_its_version() {
    let refused = Review { version: 2, ..review("a", 1, ReviewState::Deferred {}) };
    let again = deferred_review("a", 1).next_version(Some(&refused));
    assert_eq!(again.version, 3);
    let first = deferred_review("a", 1).next_version(None);
    assert_eq!(first.version, 0);
}
