//! Tests that every transition clears the sweeper's back-off.

use super::*;
use crate::breaker::BreakerCause;
use crate::job::model::tests::met;

/// The job after the sweeper failed three times and postponed it.
fn put_off(job: Job) -> Job {
    Job { tries: 3, not_before: Some(at(90_000)), ..job }
}

#[test]
fn transition_clears_the_sweepers_back_off() {
    let executing = put_off(active(JobStatus::Executing));
    let held = fence(&executing, 1, "c1");
    for (what, next) in [
        ("it is started", put_off(ready()).begin_dispatch(at(10))),
        ("it waits elsewhere", put_off(ready()).move_to(Placement::Runners, at(10))),
        (
            "its model is left alone",
            put_off(ready()).delay_for_model(BreakerCause::LimitReached, "codex", at(900), at(10)),
        ),
        ("it is claimed", put_off(ready()).claim(&claim(1, "c"), at(10))),
        ("its container died", executing.record_container_stop("task-c1", crashed(), at(210))),
        ("its model answers nobody", executing.requeue_for_model(&held, &met(None, 600), at(300))),
        ("its agent asks", executing.suspend(&held, &yielded(asks(), 0), at(250))),
        ("a person pauses it", put_off(ready()).pause(Pause::new("ann", at(10)), at(10))),
        ("a person lets it go on", put_off(paused()).resume(at(300))),
        ("a person answers", put_off(asking()).resume_with_input(at(300))),
    ] {
        assert_eq!(next.map(|job| (job.tries, job.not_before)), Ok((0, None)), "{what}");
    }
}
