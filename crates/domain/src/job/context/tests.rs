use super::*;
use crate::fixtures::{pending, ready_job, time_at};

fn forge_unreachable() -> ContextFault {
    ContextFault::Away { reason: "502 Bad Gateway".into() }
}

/// The pauses after each of `times` failures. Units: seconds.
fn pauses(times: usize) -> Vec<u64> {
    let mut job = pending();
    let mut now = time_at(0);
    let mut pauses = Vec::new();
    for _ in 0..times {
        job = job.record_context_fault(forge_unreachable(), now).unwrap();
        let next = job.waits.as_ref().unwrap().next;
        pauses.push(next.since(now).as_secs());
        now = next;
    }
    pauses
}

#[test]
fn forge_outage_backs_off_from_ten_seconds_to_half_an_hour() {
    assert_eq!(pauses(10), [10, 20, 40, 80, 160, 320, 640, 1_280, 1_800, 1_800]);
}

#[test]
fn failed_reads_are_counted_with_their_fault() {
    let job = pending().record_context_fault(forge_unreachable(), time_at(5)).unwrap();
    let job = job.record_context_fault(ContextFault::RateLimited { until: time_at(900) }, time_at(20)).unwrap();
    let until = ContextFault::RateLimited { until: time_at(900) };
    assert_eq!(job.waits, Some(ContextWait { tries: 2, next: time_at(900), fault: Some(until) }));
    assert_eq!(job.status, JobStatus::Pending);
}

#[test]
fn rate_limit_time_is_obeyed_but_at_least_ten_seconds() {
    let next = |until| {
        let job = pending().record_context_fault(ContextFault::RateLimited { until }, time_at(100)).unwrap();
        job.waits.unwrap().next
    };
    assert_eq!(next(time_at(4_000)), time_at(4_000));
    assert_eq!(next(time_at(50)), time_at(110), "the forge's clock is behind");
}

#[test]
fn empty_reviews_are_read_each_minute_for_15_minutes() {
    let created_at = pending().created;
    let until = created_at.plus(Duration::from_secs(900));
    assert_eq!(pending().missing_text_fault(created_at, created_at), Some(ContextFault::Silent { until }));
    let sooner = created_at.minus(Duration::from_secs(300));
    assert_eq!(pending().missing_text_fault(sooner, created_at), Some(ContextFault::Silent { until: time_at(600) }));
    assert_eq!(
        pending().missing_text_fault(time_at(7_200), created_at),
        Some(ContextFault::Silent { until }),
        "the forge's clock is ahead"
    );
    assert_eq!(pending().missing_text_fault(created_at, time_at(899)), Some(ContextFault::Silent { until }));
    assert_eq!(pending().missing_text_fault(created_at, until), None);
    let next = |now| pending().record_context_fault(ContextFault::Silent { until }, now).unwrap().waits.unwrap().next;
    assert_eq!((next(time_at(5)), next(time_at(870))), (time_at(65), until));
}

#[test]
fn reading_empty_reviews_does_not_raise_the_back_off() {
    let until = pending().created.plus(Duration::from_secs(900));
    let mut job = pending();
    for n in 1..=12 {
        job = job.record_context_fault(ContextFault::Silent { until }, time_at(60 * n)).unwrap();
        assert_eq!(job.waits.as_ref().map(|waits| waits.tries), Some(1), "an empty review is no failure");
    }
    let waits = job.record_context_fault(forge_unreachable(), time_at(730)).unwrap().waits.unwrap();
    assert_eq!((waits.tries, waits.next), (2, time_at(750)));
}

#[test]
fn job_fails_after_a_day_of_forge_outage() {
    let day = CONTEXT_TIMEOUT.as_secs();
    let late = pending().record_context_fault(forge_unreachable(), time_at(day - 1)).unwrap();
    assert_eq!(late.status, JobStatus::Pending);
    let failed = late.record_context_fault(forge_unreachable(), time_at(day)).unwrap();
    assert_eq!(failed.status, JobStatus::Failed);
    let expected = Failure::ContextUnavailable { forge: failed.integration.clone(), n: 2 };
    assert_eq!((failed.failure.as_ref(), failed.worked, &failed.waits), (Some(&expected), false, &None));
    let limited = ContextFault::RateLimited { until: time_at(day) };
    assert_eq!(pending().record_context_fault(limited, time_at(day)).unwrap().status, JobStatus::Failed);
}

#[test]
fn stored_fault_is_clipped() {
    let job = pending().record_context_fault(ContextFault::Away { reason: "x".repeat(10_000) }, time_at(5)).unwrap();
    let Some(ContextFault::Away { reason }) = job.waits.unwrap().fault else { panic!("another fault") };
    assert!(reason.chars().count() <= 120, "{}", reason.len());
}

#[test]
fn admitted_job_is_ready_with_its_frozen_context() {
    let mut job = pending().record_context_fault(forge_unreachable(), time_at(5)).unwrap();
    (job.tries, job.not_before) = (3, Some(time_at(9_000)));
    let ready = job.admit("c0ffee".into(), "abc", time_at(40)).unwrap();
    assert_eq!((ready.status, ready.context.as_str(), &ready.waits), (JobStatus::Ready, "c0ffee", &None));
    assert_eq!((ready.ready_since, ready.dispatch.due), (time_at(40), time_at(40).plus(WAKE_TIMEOUT)));
    assert_eq!((ready.tries, ready.not_before), (0, None));
    assert_eq!(ready.revises.unwrap().head, "abc", "the head that was read with the review");
    assert_eq!(ready.created, time_at(0), "the hour counts from here");
}

#[test]
fn early_admission_keeps_the_due_time() {
    let due = |job: &Job, secs| {
        let admitted = job.admit("c0ffee".into(), "abc", time_at(secs)).unwrap();
        assert_eq!(crate::run::due::job(&admitted), Some(crate::run::due::Due::At(admitted.dispatch.due)));
        admitted.dispatch.due
    };
    let pending = pending();
    assert_eq!(crate::run::due::job(&pending), Some(crate::run::due::Due::At(time_at(30))));
    assert_eq!((due(&pending, 1), due(&pending, 20)), (time_at(30), time_at(30)));
    // The wake-up has at least ten seconds and at most a minute.
    assert_eq!((due(&pending, 21), due(&pending, 500)), (time_at(81), time_at(560)));
    let late = pending.record_context_fault(ContextFault::RateLimited { until: time_at(900) }, time_at(20)).unwrap();
    assert_eq!(due(&late, 25), time_at(85));
}

#[test]
fn back_off_after_hundreds_of_tries_is_half_an_hour() {
    let waits = ContextWait { tries: 500, next: time_at(40), fault: None };
    let job = Job { waits: Some(waits), ..pending() }.record_context_fault(forge_unreachable(), time_at(50)).unwrap();
    let waits = job.waits.unwrap();
    assert_eq!((waits.tries, waits.next), (501, time_at(50).plus(MAX_BACKOFF)));
}

#[test]
fn continuing_job_waits_for_its_unanswered_reviews() {
    let job = ready_job().await_reviews(time_at(7));
    assert_eq!(crate::run::due::job(&job), Some(crate::run::due::Due::At(time_at(37))));
    assert_eq!(job, Job { status: JobStatus::Pending, waits: Some(ContextWait::new(time_at(7))), ..ready_job() });
}
