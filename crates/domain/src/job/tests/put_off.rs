//! Tests that every transition clears the sweeper's back-off.

use super::*;
use crate::breaker::Cause;
use crate::job::model::tests::met;

/// The job after the sweeper failed three times and postponed it.
fn put_off(job: Job) -> Job {
    Job { tries: 3, not_before: Some(at(90_000)), ..job }
}

#[test]
fn transition_clears_the_sweepers_back_off() {
    let executing = put_off(active(Status::Executing));
    let held = fence(&executing, 1, "c1");
    for (what, next) in [
        ("it is started", put_off(ready()).dispatched(at(10))),
        ("it waits elsewhere", put_off(ready()).placed(Place::Runners, at(10))),
        ("its model is left alone", put_off(ready()).left_alone(Cause::LimitReached, "codex", at(900), at(10))),
        ("it is claimed", put_off(ready()).claimed(&claim(1, "c"), at(10))),
        ("its container died", executing.container_died("task-c1", crashed(), at(210))),
        ("its model answers nobody", executing.waits_for_model(&held, &met(None, 600), at(300))),
        ("its agent asks", executing.yielded(&held, &yielded(asks(), 0), at(250))),
        ("a person pauses it", put_off(ready()).paused(Pause::new("ann", at(10)), at(10))),
        ("a person lets it go on", put_off(paused()).continued(at(300))),
        ("a person answers", put_off(asking()).told(at(300))),
    ] {
        assert_eq!(next.map(|job| (job.tries, job.not_before)), Ok((0, None)), "{what}");
    }
}
