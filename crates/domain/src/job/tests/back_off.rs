//! Tests that every transition clears the sweeper's back-off.

use super::*;
use crate::agent::breaker::BreakerCause;
use crate::job::model::tests::limit_report;

fn postponed_job(job: Job) -> Job {
    Job { tries: 3, not_before: Some(time_at(90_000)), ..job }
}

#[test]
fn transition_clears_the_sweepers_back_off() {
    let executing = postponed_job(active(JobStatus::Executing));
    let held = fence(&executing, 1, "c1");
    for (case, next) in [
        ("it is started", postponed_job(ready_job()).begin_dispatch(time_at(10))),
        ("it waits elsewhere", postponed_job(ready_job()).move_to(Placement::Runners, time_at(10))),
        (
            "its model is left alone",
            postponed_job(ready_job()).delay_for_model(BreakerCause::LimitReached, "codex", time_at(900), time_at(10)),
        ),
        ("it is claimed", postponed_job(ready_job()).claim(&claim(1, "c"), time_at(10))),
        ("its container died", executing.record_container_stop("task-c1", crash_failure(), time_at(210))),
        (
            "its model account is unavailable",
            executing.requeue_for_model(&held, &limit_report(None, 600), time_at(300)),
        ),
        ("its agent asks", executing.suspend(&held, &suspend_report(question(), 0), time_at(250))),
        ("a person pauses it", postponed_job(ready_job()).pause(Pause::new("ann", time_at(10)), time_at(10))),
        ("a person lets it go on", postponed_job(paused_job()).resume(time_at(300))),
        ("a person answers", postponed_job(awaiting_input_job()).resume_with_input(time_at(300))),
    ] {
        assert_eq!(next.map(|job| (job.tries, job.not_before)), Ok((0, None)), "{case}");
    }
}
