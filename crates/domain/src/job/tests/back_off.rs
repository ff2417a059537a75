//! Tests that every transition clears the sweeper's back-off.

use super::*;
use crate::breaker::BreakerCause;
use crate::job::model::tests::limit_report;

/// The job after the sweeper failed three times and postponed it.
fn postponed_job(job: Job) -> Job {
    Job { tries: 3, not_before: Some(at(90_000)), ..job }
}

#[test]
fn transition_clears_the_sweepers_back_off() {
    let executing = postponed_job(active(JobStatus::Executing));
    let held = fence(&executing, 1, "c1");
    for (what, next) in [
        ("it is started", postponed_job(ready()).begin_dispatch(at(10))),
        ("it waits elsewhere", postponed_job(ready()).move_to(Placement::Runners, at(10))),
        (
            "its model is left alone",
            postponed_job(ready()).delay_for_model(BreakerCause::LimitReached, "codex", at(900), at(10)),
        ),
        ("it is claimed", postponed_job(ready()).claim(&claim(1, "c"), at(10))),
        ("its container died", executing.record_container_stop("task-c1", runner_crashed(), at(210))),
        ("its model account is unavailable", executing.requeue_for_model(&held, &limit_report(None, 600), at(300))),
        ("its agent asks", executing.suspend(&held, &suspend_report(question(), 0), at(250))),
        ("a person pauses it", postponed_job(ready()).pause(Pause::new("ann", at(10)), at(10))),
        ("a person lets it go on", postponed_job(paused()).resume(at(300))),
        ("a person answers", postponed_job(awaiting_input_job()).resume_with_input(at(300))),
    ] {
        assert_eq!(next.map(|job| (job.tries, job.not_before)), Ok((0, None)), "{what}");
    }
}
