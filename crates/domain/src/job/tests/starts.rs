//! Tests starts of tasks: identity, retries and when to give up.

use super::*;
use crate::fixtures::{claim, ready_job, step_at, time_at};
use crate::job::sweep::JobStep;
use std::time::Duration;

#[test]
fn start_is_identified_by_attempt_and_number() {
    let job = job_with_start();
    let fail = |job: &Job, attempt, number| job.record_start_fault(attempt, number, DispatchFault::Silent, time_at(20));
    for (attempt, number) in [(0, 1), (2, 1), (1, 0), (1, 2)] {
        assert_eq!(fail(&job, attempt, number), Err(TransitionRefusal::LeaseLost), "{attempt} {number}");
        assert_eq!(job.set_task(attempt, number, "t"), Err(TransitionRefusal::LeaseLost), "{attempt} {number}");
    }
    assert!(fail(&job, 1, 1).is_ok());
    let named = job.set_task(1, 1, "t").unwrap();
    assert_eq!(named.dispatch.task.as_deref(), Some("t"));
    assert_eq!(named.dispatch.due, time_at(10).plus(START_TIMEOUT));
    let next = fail(&named, 1, 1).unwrap().begin_dispatch(time_at(40)).unwrap();
    assert_eq!((next.dispatch.number, next.dispatch.task), (2, None));
}

/// The job after these faults, one per start, and its last wait in seconds.
fn after_faults(faults: &[DispatchFault]) -> (Job, u64) {
    let mut job = ready_job();
    let mut wait = Duration::ZERO;
    for (n, fault) in faults.iter().enumerate() {
        let now = time_at(10 + n as u64 * 1_000);
        job = job.begin_dispatch(now).unwrap();
        job = job.record_start_fault(1, job.dispatch.number, fault.clone(), now).unwrap();
        assert_eq!(
            (job.attempt, job.status, job.dispatch.starting),
            (0, JobStatus::Ready, false),
            "no attempt is used up"
        );
        wait = job.dispatch.due.since(now);
    }
    (job, wait.as_secs())
}

fn no_capacity(secs: u64) -> DispatchFault {
    DispatchFault::Capacity { since: time_at(secs) }
}

fn start_refusal() -> DispatchFault {
    DispatchFault::Refused { reason: "no role".into(), refusal: StartRefusal::Lasting }
}

fn passing_refusal() -> DispatchFault {
    DispatchFault::Refused { reason: "not authorized".into(), refusal: StartRefusal::Passing }
}

fn container_death() -> DispatchFault {
    DispatchFault::Died { reason: "exit code 1".into() }
}

#[test]
fn starts_back_off_from_5_seconds_to_5_minutes() {
    let permanent = [start_refusal(), container_death(), SILENT_START];
    for fault in [no_capacity(1), THROTTLED_START, INTERRUPTED_START, passing_refusal()].into_iter().chain(permanent) {
        let waits: Vec<_> = (1..=9).map(|n| after_faults(&vec![fault.clone(); n]).1).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300], "{fault:?}");
    }
    assert_eq!(after_faults(&vec![DispatchFault::MachineFull; 9]).1, 20, "a place becomes free soon");
}

#[test]
fn job_of_a_full_machine_waits_until_it_is_started() {
    let (refused, _) = after_faults(&[THROTTLED_START, DispatchFault::MachineFull]);
    assert!(refused.awaits_machine(time_at(2_000)));
    assert!(!refused.begin_dispatch(time_at(2_000)).unwrap().awaits_machine(time_at(2_000)), "it is being started");
    assert!(!Job { status: JobStatus::Cancelled, ..refused }.awaits_machine(time_at(2_000)));
    assert!(!after_faults(&[no_capacity(1)]).0.awaits_machine(time_at(2_000)), "Fargate has no places");
}

#[test]
fn transient_start_faults_never_give_up() {
    for fault in [no_capacity(1), THROTTLED_START, INTERRUPTED_START, passing_refusal()] {
        assert_eq!(after_faults(&vec![fault; 200]).0.start_failure(), None);
    }
    let (job, _) = after_faults(&[no_capacity(1), no_capacity(2), no_capacity(3)]);
    assert_eq!(job.dispatch.fault, Some(FailedStarts { last: no_capacity(1), count: 3 }));
    let (job, _) = after_faults(&[no_capacity(1), THROTTLED_START, no_capacity(3)]);
    assert_eq!(job.dispatch.fault, Some(FailedStarts { last: no_capacity(3), count: 3 }));
}

#[test]
fn refusal_stored_before_its_kind_existed_is_lasting() {
    let stored = |text: &str| serde_json::from_str::<DispatchFault>(text).unwrap();
    assert_eq!(stored(r#"{"kind":"refused","reason":"no role"}"#), start_refusal());
    let text = |fault: &DispatchFault| serde_json::to_string(fault).unwrap();
    assert_eq!(text(&start_refusal()), r#"{"kind":"refused","reason":"no role"}"#);
    assert_eq!(stored(&text(&passing_refusal())), passing_refusal());
    let (job, _) = after_faults(&[passing_refusal(), passing_refusal()]);
    let text = serde_json::to_string(&job.dispatch.fault).unwrap();
    assert_eq!(serde_json::from_str::<Option<FailedStarts>>(&text).unwrap(), job.dispatch.fault, "{text}");
}

#[test]
fn only_start_faults_that_need_a_person_raise_the_alarm() {
    for fault in [start_refusal(), passing_refusal(), container_death(), SILENT_START] {
        assert!(fault.is_alarming(), "{fault:?}");
    }
    for fault in [no_capacity(1), THROTTLED_START, INTERRUPTED_START, DispatchFault::MachineFull] {
        assert!(!fault.is_alarming(), "{fault:?}");
    }
}

#[test]
fn third_permanent_start_fault_in_a_row_gives_up() {
    for (fault, reason) in
        [(start_refusal(), "no role"), (container_death(), "exit code 1"), (SILENT_START, "it never connected")]
    {
        assert_eq!(after_faults(&[fault.clone(), fault.clone()]).0.start_failure(), None);
        let (job, _) = after_faults(&[fault.clone(), fault.clone(), fault]);
        let failure = Failure::TaskNeverStarted { limit: START_TIMEOUT.into(), reason: reason.into() };
        assert_eq!(job.start_failure(), Some(failure.clone()));
        assert_eq!(step_at(&job, job.dispatch.due), JobStep::Fail(failure));
    }
}

#[test]
fn transient_and_permanent_start_faults_count_apart() {
    let gives_up = |faults: &[DispatchFault]| after_faults(faults).0.start_failure().is_some();
    assert!(gives_up(&[SILENT_START, start_refusal(), SILENT_START]));
    assert!(gives_up(&[start_refusal(), container_death(), SILENT_START]));
    assert!(!gives_up(&[SILENT_START, SILENT_START, THROTTLED_START, SILENT_START, SILENT_START]));
    assert!(gives_up(&[SILENT_START, THROTTLED_START, SILENT_START, SILENT_START, SILENT_START]));
    assert_eq!(after_faults(&[SILENT_START, SILENT_START, THROTTLED_START]).1, 5);
}

#[test]
fn claim_or_requeue_resets_the_fault_count() {
    let (twice, _) = after_faults(&[SILENT_START, SILENT_START]);
    let claimed = twice.claim(&claim(1, "c1"), time_at(5_000)).unwrap();
    let back = claimed.requeue(time_at(5_100)).unwrap().begin_dispatch(time_at(5_200)).unwrap();
    let failed = back.record_start_fault(2, 1, SILENT_START, time_at(5_300)).unwrap();
    assert_eq!(failed.dispatch.fault, Some(FailedStarts { last: SILENT_START, count: 1 }));
    let claimed_at_last = after_faults(&[SILENT_START; 3]).0.claim(&claim(1, "c1"), time_at(5_000)).unwrap();
    assert_eq!(claimed_at_last.start_failure(), None);
}

#[test]
fn suspended_job_is_not_given_up_for_its_starts() {
    let (job, _) = after_faults(&[SILENT_START; 3]);
    assert!(job.start_failure().is_some());
    let still = job.pause(Pause::new("ann", time_at(5_000)), time_at(5_000)).unwrap();
    assert!(still.dispatch.fault.is_some(), "the start fault is still stored");
    assert_eq!((still.status, still.start_failure()), (JobStatus::Paused, None));
}

#[test]
fn silent_task_may_claim_after_its_start_failed() {
    let named = ready_job().begin_dispatch(time_at(1)).unwrap().set_task(1, 1, "arn:slow").unwrap();
    let by = Claim { task: Some("arn:slow".into()), ..claim(1, "c1") };
    for fault in [SILENT_START, THROTTLED_START, no_capacity(1), start_refusal()] {
        let failed = named.record_start_fault(1, 1, fault.clone(), time_at(320)).unwrap();
        assert!(failed.claim(&by, time_at(330)).is_ok(), "{fault:?}");
    }
}

#[test]
fn last_ten_stopped_tasks_cannot_claim() {
    let dies = |job: Job, number: u32, task: &str| {
        let started = job.begin_dispatch(time_at(u64::from(number) * 100)).unwrap();
        let named = started.set_task(1, number, task).unwrap();
        named.record_start_fault(1, number, DispatchFault::Interrupted, time_at(u64::from(number) * 100 + 1)).unwrap()
    };
    let died = (1..=2).fold(ready_job(), |job, number| dies(job, number, &format!("arn:{number}")));
    let by = |task: &str| Claim { task: Some(task.into()), ..claim(1, "c1") };
    for dead in ["arn:1", "arn:2"] {
        assert_eq!(died.claim(&by(dead), time_at(900)), Err(TransitionRefusal::LeaseLost), "{dead}");
    }
    assert_eq!(died.claim(&by("arn:3"), time_at(900)).map(|job| job.dispatch.dead), Ok(Vec::new()));
    let many = (3..=40).fold(died, |job, number| dies(job, number, &format!("arn:{number}")));
    assert_eq!(many.dispatch.dead.len(), 10, "the item stays small");
    assert_eq!(many.dispatch.dead.last().map(String::as_str), Some("arn:40"));
}
