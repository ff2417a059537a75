use super::*;
use crate::fixtures::{active, fence, heartbeat_at, time_at};
use crate::job::JobStatus;

/// Executing since 200 s, with its newest heartbeat at `secs`.
fn executing(secs: u64) -> Job {
    heartbeat_at(&active(JobStatus::Executing), secs)
}

fn record(job: &Job, secs: u64) -> Result<Job, TransitionRefusal> {
    job.record_heartbeat(&fence(job, 1, "c1"), time_at(secs))
}

#[test]
fn heartbeat_is_stored_once_the_stored_one_is_old() {
    let job = executing(200);
    assert_eq!(record(&job, 219), Err(TransitionRefusal::AlreadyDone));
    let next = record(&job, 220).unwrap();
    assert_eq!(next.run.as_ref().unwrap().last_heartbeat(), time_at(220));
    assert_eq!(Job { run: job.run.clone(), ..next }, job, "nothing else changes");
    // The first one of an attempt follows its claim.
    let claimed = active(JobStatus::Claimed);
    assert_eq!(claimed.run.as_ref().unwrap().last_heartbeat(), time_at(100));
    assert_eq!(record(&claimed, 119), Err(TransitionRefusal::AlreadyDone));
    assert!(record(&claimed, 120).is_ok());
}

#[test]
fn heartbeat_replaces_one_of_a_wrong_clock() {
    let job = executing(90_000);
    assert_eq!(record(&job, 89_990), Err(TransitionRefusal::AlreadyDone));
    assert_eq!(record(&job, 300).unwrap().run.unwrap().heartbeat, Some(time_at(300)));
}

#[test]
fn heartbeat_of_an_ended_attempt_is_refused() {
    let back = active(JobStatus::Executing).requeue(time_at(290)).unwrap();
    let ended = active(JobStatus::Executing).fail(crate::fixtures::crash_failure(), time_at(290)).unwrap();
    for job in [back, ended] {
        assert_eq!(record(&job, 300), Err(TransitionRefusal::LeaseLost));
    }
}

#[test]
fn phase_counts_as_a_heartbeat() {
    let job = active(JobStatus::Preparing);
    let next = job.advance(&fence(&job, 1, "c1"), JobStatus::Executing, time_at(205)).unwrap();
    assert_eq!(next.run.unwrap().last_heartbeat(), time_at(205));
}

#[test]
fn survived_silence_extends_the_time_limit() {
    let hour = Duration::from_secs(3_600);
    let overdue = |job: &Job| job.run.as_ref().unwrap().overdue_at(hour);
    let job = executing(200);
    assert_eq!(overdue(&job), time_at(3_760));
    assert_eq!(overdue(&record(&job, 319).unwrap()), time_at(3_760));
    // A shorter sleep than the runner's own time counts as well.
    for (sleep, credit) in [(119, 0), (120, 120), (300, 300), (900, 900)] {
        assert_eq!(overdue(&record(&job, 200 + sleep).unwrap()), time_at(3_760 + credit), "{sleep}");
    }
    // The machine slept for two hours, twice.
    let once = record(&job, 7_400).unwrap();
    assert_eq!(overdue(&once), time_at(3_760 + 7_200));
    assert_eq!(overdue(&record(&once, 14_600).unwrap()), time_at(3_760 + 14_400));
}

#[test]
fn short_silences_extend_the_time_limit_by_a_day_at_most() {
    let (mut job, mut secs) = (executing(200), 200);
    while secs < 300_000 {
        secs += 150;
        job = record(&job, secs).unwrap();
    }
    let overdue = |job: &Job| job.run.as_ref().unwrap().overdue_at(Duration::from_secs(3_600));
    assert_eq!(overdue(&job), time_at(3_760 + 86_400));
    // Three days, in which the control plane slept too, extend it further, and the next short silence keeps that.
    let slept = record(&job, secs + 259_200).unwrap();
    assert_eq!(overdue(&slept), time_at(3_760 + 86_400 + 259_200));
    assert_eq!(overdue(&record(&slept, secs + 259_350).unwrap()), overdue(&slept));
}
