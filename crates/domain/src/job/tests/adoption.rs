//! Tests jobs that only adopt the possible push of a lost attempt.

use super::*;

fn runner_offline() -> Failure {
    Failure::RunnerOffline { runner: "kite".into(), ago: crate::text::Span(95) }
}

fn adopting_job() -> Job {
    active(JobStatus::Syncing).requeue_to_adopt(runner_offline(), time_at(400)).unwrap()
}

fn second_attempt(job: &Job, status: JobStatus) -> Job {
    let mut job = job.claim(&claim(2, "c2"), time_at(410)).unwrap();
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

#[test]
fn job_that_may_have_pushed_is_requeued_to_adopt() {
    let back = adopting_job();
    assert_eq!((back.status, back.requeues, back.run.as_ref(), back.push_until), (JobStatus::Ready, 0, None, None));
    assert_eq!((back.lost_a_push, back.adopts.as_ref()), (true, Some(&runner_offline())));
    assert_eq!((back.ready_since, back.dispatch.due, back.attempt), (time_at(400), time_at(400), 1));
    assert_eq!(back.failure, None, "it has not failed yet");
}

#[test]
fn lost_push_is_remembered_by_later_attempts() {
    let back = active(JobStatus::Syncing).requeue(time_at(400)).unwrap();
    assert!(back.lost_a_push && back.adopts.is_none() && back.may_have_pushed());
    assert_eq!(
        back.requeue_to_adopt(crash_failure(), time_at(410)),
        Err(TransitionRefusal::WrongStatus(JobStatus::Ready))
    );
    let again = second_attempt(&back, JobStatus::Preparing);
    assert!(again.may_have_pushed());
    for status in [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        assert!(second_attempt(&back, status).requeue(time_at(900)).unwrap().lost_a_push, "{status:?}");
    }
    let adopting = again.requeue_to_adopt(crash_failure(), time_at(440)).unwrap();
    assert_eq!(adopting.adopts, Some(crash_failure()));
    let executing = active(JobStatus::Executing);
    assert!(!executing.may_have_pushed() && !executing.requeue(time_at(400)).unwrap().lost_a_push);
}

#[test]
fn job_is_requeued_to_adopt_once() {
    for status in [JobStatus::Claimed, JobStatus::Syncing] {
        let job = second_attempt(&adopting_job(), status);
        assert_eq!(job.requeue_to_adopt(crash_failure(), time_at(900)), Err(TransitionRefusal::AlreadyDone));
        // A platform fault requeues it, again only to adopt.
        assert_eq!(job.requeue(time_at(900)).unwrap().adopts, Some(runner_offline()));
    }
}

#[test]
fn adopting_job_that_finds_nothing_fails_with_the_loss() {
    for status in [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing] {
        let job = second_attempt(&adopting_job(), status);
        assert_eq!(
            finish_second_attempt(&job, End::Failed(no_changes_failure(), None)).failure,
            Some(runner_offline()),
            "{status:?}"
        );
        let lost = job.fail(crash_failure(), time_at(900)).unwrap();
        assert_eq!(lost.failure, Some(runner_offline()), "{status:?}");
        // The search itself failed, so a push is still possible.
        assert_eq!(lost.looked, Some(PushSearch::Failed { failure: crash_failure() }), "{status:?}");
        assert_eq!(lost.attempt_end(), AttemptEnd::Failed { failure: crash_failure() }, "{status:?}");
    }
    assert_eq!(
        adopting_job().fail(no_changes_failure(), time_at(90_000)).unwrap().failure,
        Some(runner_offline()),
        "never claimed"
    );
    assert_eq!(
        finish_second_attempt(&second_attempt(&adopting_job(), JobStatus::Executing), End::Cancelled).status,
        JobStatus::Cancelled
    );
}

#[test]
fn adopting_attempt_that_finds_nothing_is_not_lost() {
    let job = second_attempt(&adopting_job(), JobStatus::Preparing);
    let ended = finish_second_attempt(&job, End::Failed(Failure::NothingPushed {}, None));
    assert_eq!((&ended.failure, &ended.looked), (&Some(runner_offline()), &Some(PushSearch::FoundNothing {})));
    assert_eq!(ended.attempt_end(), AttemptEnd::FoundNothing {});
    let found = second_attempt(&adopting_job(), JobStatus::Syncing);
    let done = finish_second_attempt(&found, End::Completed(result()));
    assert_eq!((done.status, done.failure.as_ref(), &done.result), (JobStatus::Completed, None, &Some(result())));
    assert_eq!(done.attempt_end(), AttemptEnd::Completed {});
    let end = finish_second_attempt(&found, End::Failed(no_changes_failure(), None)).attempt_end();
    assert_eq!(end, AttemptEnd::Failed { failure: no_changes_failure() });
}

#[test]
fn found_nothing_is_recorded_only_after_a_search() {
    let denied =
        || Failure::SourceDenied { forge: "GitHub".into(), repo: crate::id::RepositoryName::new("acme/app").unwrap() };
    let unlooked = Some(PushSearch::Failed { failure: denied() });
    let ended =
        finish_second_attempt(&second_attempt(&adopting_job(), JobStatus::Preparing), End::Failed(denied(), None));
    assert_eq!((&ended.failure, &ended.looked), (&Some(runner_offline()), &unlooked));
    assert_eq!(ended.attempt_end(), AttemptEnd::Failed { failure: denied() });
    // The same if no runner claimed it, or if the second loss is of the same kind.
    assert_eq!(adopting_job().fail(denied(), time_at(90_000)).unwrap().looked, unlooked);
    let again = second_attempt(&adopting_job(), JobStatus::Claimed).fail(runner_offline(), time_at(900)).unwrap();
    assert_eq!(again.attempt_end(), AttemptEnd::Failed { failure: runner_offline() });
    // Without an earlier loss, the job's failure is its own.
    assert_eq!(finish(&active(JobStatus::Preparing), End::Failed(denied(), None)).looked, None);
}

#[test]
fn found_but_unadopted_push_may_still_exist() {
    let found = second_attempt(&adopting_job(), JobStatus::Syncing);
    let lost = found.fail(crash_failure(), time_at(900)).unwrap();
    assert_eq!(
        (&lost.failure, &lost.looked),
        (&Some(crash_failure()), &Some(PushSearch::Failed { failure: crash_failure() }))
    );
    assert_eq!(lost.attempt_end(), AttemptEnd::Failed { failure: crash_failure() });
    // An attempt that requested a push had found a commit, even if it reports otherwise later.
    let says = Failure::NothingPushed {};
    let ended = finish_second_attempt(&found, End::Failed(says.clone(), None));
    assert_eq!((&ended.failure, &ended.looked), (&Some(says.clone()), &Some(PushSearch::Failed { failure: says })));
    assert_eq!(
        finish_second_attempt(&found, End::Failed(no_changes_failure(), Some(result()))).looked,
        None,
        "the push is linked"
    );
    assert_eq!(finish_second_attempt(&found, End::Completed(result())).looked, None);
}

#[test]
fn requeued_job_that_fails_before_its_search_may_have_pushed() {
    let back = active(JobStatus::Syncing).requeue(time_at(400)).unwrap();
    let unlooked = Some(PushSearch::Failed { failure: no_changes_failure() });
    for status in [JobStatus::Claimed, JobStatus::Preparing] {
        let ended = finish_second_attempt(&second_attempt(&back, status), End::Failed(no_changes_failure(), None));
        assert_eq!((&ended.failure, &ended.looked), (&Some(no_changes_failure()), &unlooked), "{status:?}");
        assert_eq!(ended.attempt_end(), AttemptEnd::Failed { failure: no_changes_failure() }, "{status:?}");
    }
    assert_eq!(back.fail(no_changes_failure(), time_at(90_000)).unwrap().looked, unlooked, "never claimed");
    // The agent begins only after the search found nothing.
    assert_eq!(
        finish_second_attempt(&second_attempt(&back, JobStatus::Executing), End::Failed(no_changes_failure(), None))
            .looked,
        None
    );
    assert_eq!(finish_second_attempt(&second_attempt(&back, JobStatus::Preparing), End::Cancelled).looked, None);
}

/// An older runner starts its agent even for an adopting job.
#[test]
fn expired_question_of_an_adopting_job_fails_with_the_loss() {
    let job = second_attempt(&adopting_job(), JobStatus::Executing);
    let asking = job.suspend(&fence(&job, 2, "c2"), &suspend_report(question(), 0), time_at(430)).unwrap();
    let until = asking.suspended_until().unwrap();
    assert_eq!(asking.expire_suspension(until).unwrap().failure, Some(runner_offline()));
}

#[test]
fn adopting_job_can_be_cancelled_or_paused() {
    let pushed = active(JobStatus::Syncing);
    let cancelled = pushed.cancel(Cancel::new("ann", None, time_at(210)), time_at(210)).unwrap();
    assert_eq!(cancelled.requeue_to_adopt(runner_offline(), time_at(400)).unwrap().status, JobStatus::Cancelled);
    let pausing = pushed.pause(Pause::new("ann", time_at(210)), time_at(210)).unwrap();
    let still = pausing.requeue_to_adopt(runner_offline(), time_at(400)).unwrap();
    assert_eq!(
        (still.status, still.want, still.adopts.as_ref()),
        (JobStatus::Paused, DesiredState::Run, Some(&runner_offline()))
    );
    let on = still.resume(time_at(500)).unwrap();
    assert_eq!((on.status, on.adopts), (JobStatus::Ready, Some(runner_offline())));
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
    assert!(lost(pushing.requeue(time_at(400))) && lost(pushing.requeue_to_adopt(runner_offline(), time_at(400))));
    assert!(lost(pushing.fail(crash_failure(), time_at(400))));
    assert!(
        !lost(pushing.finish(&fence(&pushing, 1, "c1"), &finish_id("f1"), End::Cancelled, time_at(220))),
        "its runner reported it"
    );
    assert!(!lost(cancelled(&active(JobStatus::Executing)).enforce_cancel(time_at(400))), "no push permission");
    // After a requeue by policy, until the next attempt has searched.
    let back = active(JobStatus::Syncing).requeue(time_at(400)).unwrap();
    assert!(lost(Ok(cancelled(&back))));
    for (status, is_lost) in [(JobStatus::Preparing, true), (JobStatus::Executing, false)] {
        assert_eq!(
            lost(Ok(finish_second_attempt(&second_attempt(&back, status), End::Cancelled))),
            is_lost,
            "{status:?}"
        );
    }
    // An attempt that asks a question has searched before.
    let asking = second_attempt(&back, JobStatus::Executing);
    let asking = asking.suspend(&fence(&asking, 2, "c2"), &suspend_report(question(), 0), time_at(430)).unwrap();
    assert_eq!(asking.status, JobStatus::AwaitingInput);
    assert!(!lost(Ok(cancelled(&asking))));
    // An adopting job keeps its lost push through its own cancel.
    for status in [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        let held = cancelled(&second_attempt(&adopting_job(), status));
        assert!(
            lost(Ok(finish_second_attempt(&held, End::Cancelled))) && lost(held.enforce_cancel(time_at(900))),
            "{status:?}"
        );
    }
}
