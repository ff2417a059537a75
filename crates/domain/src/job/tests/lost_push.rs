//! Tests whether a job remembers the possible push of a lost attempt.

use super::*;

fn requeued_job() -> Job {
    active(JobStatus::Syncing).requeue(time_at(400)).unwrap()
}

fn second_attempt(status: JobStatus) -> Job {
    let mut job = requeued_job().claim(&claim(2, "c2"), time_at(410)).unwrap();
    for phase in [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        if job.status != status {
            job = job.advance(&fence(&job, 2, "c2"), phase, time_at(420)).unwrap();
        }
    }
    job
}

fn finish_second_attempt(job: &Job, end: End) -> Job {
    job.finish(&fence(job, 2, "c2"), &finish_id("f2"), end, time_at(430)).unwrap()
}

fn lose(job: &Job) -> Job {
    job.fail(crash_failure(), time_at(900)).unwrap()
}

#[test]
fn lost_push_is_remembered_by_later_attempts() {
    assert!(requeued_job().lost_a_push);
    for status in [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        assert!(second_attempt(status).requeue(time_at(900)).unwrap().lost_a_push, "{status:?}");
    }
    assert!(!active(JobStatus::Executing).requeue(time_at(400)).unwrap().lost_a_push);
    let pausing = active(JobStatus::Syncing).pause(Pause::new("ann", time_at(210)), time_at(210)).unwrap();
    let paused = pausing.requeue(time_at(400)).unwrap();
    assert_eq!((paused.status, paused.lost_a_push), (JobStatus::Paused, true));
    assert!(paused.resume(time_at(500)).unwrap().lost_a_push);
}

#[test]
fn lost_job_remembers_a_push_that_no_attempt_reported() {
    assert!(lose(&active(JobStatus::Syncing)).lost_a_push);
    assert!(!lose(&active(JobStatus::Executing)).lost_a_push, "no push permission");
    assert!(requeued_job().fail(no_changes_failure(), time_at(90_000)).unwrap().lost_a_push, "never claimed");
    // In Executing it may have adopted the push.
    for status in [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        let lost = lose(&second_attempt(status));
        assert_eq!((lost.failure, lost.lost_a_push), (Some(crash_failure()), true), "{status:?}");
    }
}

#[test]
fn reported_failure_excludes_the_push_after_a_search() {
    let failed = |result| End::Failed(no_changes_failure(), result);
    for (status, is_lost) in [(JobStatus::Claimed, true), (JobStatus::Preparing, true), (JobStatus::Executing, false)] {
        let ended = finish_second_attempt(&second_attempt(status), failed(None));
        assert_eq!((ended.failure, ended.lost_a_push), (Some(no_changes_failure()), is_lost), "{status:?}");
    }
    // It may have found the push without a link to it.
    let pushing = second_attempt(JobStatus::Syncing);
    assert!(finish_second_attempt(&pushing, failed(None)).lost_a_push);
    for end in [failed(Some(result())), End::Completed(Some(result()))] {
        assert!(!finish_second_attempt(&pushing, end.clone()).lost_a_push, "{end:?}");
    }
    assert!(!finish(&active(JobStatus::Syncing), failed(None)).lost_a_push, "its runner reported it");
}

#[test]
fn expired_question_excludes_the_push() {
    let job = second_attempt(JobStatus::Executing);
    let asking = job.suspend(&fence(&job, 2, "c2"), &suspend_report(question(), 0), time_at(430)).unwrap();
    let until = asking.suspended_until().unwrap();
    let expired = asking.expire_suspension(until).unwrap();
    assert_eq!((asking.lost_a_push, expired.status, expired.lost_a_push), (true, JobStatus::Failed, false));
}

#[test]
fn cancelled_job_remembers_an_unresolved_push() {
    let by_ann = || Cancel::new("ann", None, time_at(210));
    let cancelled = |job: &Job| job.cancel(by_ann(), time_at(210)).unwrap();
    let pushing = cancelled(&active(JobStatus::Syncing));
    let lost = |ended: Result<Job, TransitionRefusal>| {
        let ended = ended.unwrap();
        assert_eq!(ended.status, JobStatus::Cancelled);
        ended.lost_a_push
    };
    assert!(lost(pushing.enforce_cancel(time_at(320))));
    assert!(lost(pushing.requeue(time_at(400))));
    assert!(lost(pushing.fail(crash_failure(), time_at(400))));
    assert!(
        !lost(pushing.finish(&fence(&pushing, 1, "c1"), &finish_id("f1"), End::Cancelled, time_at(220))),
        "its runner reported it"
    );
    assert!(!lost(cancelled(&active(JobStatus::Executing)).enforce_cancel(time_at(400))), "no push permission");
    // After a requeue, until the next attempt has searched.
    assert!(lost(Ok(cancelled(&requeued_job()))));
    for (status, is_lost) in [(JobStatus::Preparing, true), (JobStatus::Executing, false)] {
        let ended = finish_second_attempt(&second_attempt(status), End::Cancelled);
        assert_eq!(lost(Ok(ended)), is_lost, "{status:?}");
        assert!(lost(cancelled(&second_attempt(status)).enforce_cancel(time_at(900))), "{status:?}");
    }
    // An attempt that asks a question has searched before.
    let asking = second_attempt(JobStatus::Executing);
    let asking = asking.suspend(&fence(&asking, 2, "c2"), &suspend_report(question(), 0), time_at(430)).unwrap();
    assert_eq!(asking.status, JobStatus::AwaitingInput);
    assert!(!lost(Ok(cancelled(&asking))));
}
