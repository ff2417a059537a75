//! What a lost attempt may have pushed is looked for, once, before its job fails.

use super::*;

fn offline() -> Failure {
    Failure::RunnerOffline { runner: "kite".into(), ago: crate::text::Span(95) }
}

/// Its first attempt was lost after it was let push.
fn adopting() -> Job {
    active(Status::Syncing).requeued_to_adopt(offline(), at(400)).unwrap()
}

/// Attempt 2 of it, as far as this.
fn second(job: &Job, status: Status) -> Job {
    let mut job = job.claimed(&claim(2, "c2"), at(410)).unwrap();
    for phase in [Status::Preparing, Status::Executing, Status::Syncing] {
        if job.status != status {
            job = job.progressed(&fence(&job, 2, "c2"), phase, at(420)).unwrap();
        }
    }
    job
}

fn by_second(job: &Job, end: End) -> Job {
    job.finished(&fence(job, 2, "c2"), &finish_id("f2"), end, at(430)).unwrap()
}

#[test]
fn a_job_that_may_have_pushed_goes_back_only_to_adopt_that_and_uses_no_requeue_up() {
    let back = adopting();
    assert_eq!((back.status, back.requeues, back.run.as_ref(), back.push_until), (Status::Ready, 0, None, None));
    assert_eq!((back.lost_a_push, back.adopts.as_ref()), (true, Some(&offline())));
    assert_eq!((back.ready_since, back.dispatch.due, back.attempt), (at(400), at(400), 1));
    assert_eq!(back.failure, None, "it has not failed yet");
}

#[test]
fn nothing_is_looked_for_where_nobody_was_let_push() {
    for status in [Status::Claimed, Status::Preparing, Status::Executing] {
        let job = active(status);
        assert!(!job.may_have_pushed(), "{status:?}");
        assert_eq!(job.requeued_to_adopt(offline(), at(400)), Err(NotNow::Status(status)));
    }
    assert!(active(Status::Syncing).may_have_pushed());
}

#[test]
fn a_push_that_was_lost_is_remembered_by_every_later_attempt() {
    let back = active(Status::Syncing).requeued(at(400)).unwrap();
    assert!(back.lost_a_push && back.adopts.is_none());
    let again = second(&back, Status::Preparing);
    assert!(again.may_have_pushed());
    for status in [Status::Preparing, Status::Executing, Status::Syncing] {
        assert!(second(&back, status).requeued(at(900)).unwrap().lost_a_push, "{status:?}");
    }
    let adopting = again.requeued_to_adopt(crashed(), at(440)).unwrap();
    assert_eq!(adopting.adopts, Some(crashed()));
    assert!(!active(Status::Executing).requeued(at(400)).unwrap().lost_a_push);
}

#[test]
fn what_nobody_holds_is_not_put_back_to_adopt_though_an_attempt_of_it_may_have_pushed() {
    let back = active(Status::Syncing).requeued(at(400)).unwrap();
    assert!(back.may_have_pushed());
    assert_eq!(back.requeued_to_adopt(crashed(), at(410)), Err(NotNow::Status(Status::Ready)));
}

#[test]
fn it_is_looked_for_once() {
    for status in [Status::Claimed, Status::Syncing] {
        let job = second(&adopting(), status);
        assert_eq!(job.requeued_to_adopt(crashed(), at(900)), Err(NotNow::Already));
        // What the platform does to it before it has begun is tried again, and still only to adopt.
        assert_eq!(job.requeued(at(900)).unwrap().adopts, Some(offline()));
    }
}

#[test]
fn whatever_ends_it_before_something_is_found_it_fails_by_the_loss() {
    for status in [Status::Claimed, Status::Preparing, Status::Executing] {
        let job = second(&adopting(), status);
        assert_eq!(by_second(&job, End::Failed(no_changes(), None)).failure, Some(offline()), "{status:?}");
        let lost = job.given_up(crashed(), at(900)).unwrap();
        assert_eq!(lost.failure, Some(offline()), "{status:?}");
        // Which is no word of what had been pushed.
        assert_eq!(lost.looked, Some(Looked::Failed { failure: crashed() }), "{status:?}");
        assert_eq!(lost.attempt_end(), AttemptEnd::Failed { failure: crashed() }, "{status:?}");
    }
    assert_eq!(adopting().given_up(no_changes(), at(90_000)).unwrap().failure, Some(offline()), "nobody took it");
    assert_eq!(by_second(&second(&adopting(), Status::Executing), End::Cancelled).status, Status::Cancelled);
}

#[test]
fn an_attempt_that_adopts_nothing_is_not_said_to_have_been_lost() {
    let job = second(&adopting(), Status::Preparing);
    let ended = by_second(&job, End::Failed(Failure::NothingPushed {}, None));
    assert_eq!((&ended.failure, &ended.looked), (&Some(offline()), &Some(Looked::FoundNothing {})));
    assert_eq!(ended.attempt_end(), AttemptEnd::FoundNothing {});
    let found = second(&adopting(), Status::Syncing);
    assert_eq!(by_second(&found, End::Completed(result())).attempt_end(), AttemptEnd::Completed {});
    let end = by_second(&found, End::Failed(no_changes(), None)).attempt_end();
    assert_eq!(end, AttemptEnd::Failed { failure: no_changes() });
}

#[test]
fn nothing_is_said_to_be_found_only_where_somebody_looked() {
    let denied =
        || Failure::SourceDenied { forge: "GitHub".into(), repo: crate::id::RepositoryName::new("acme/app").unwrap() };
    let unlooked = Some(Looked::Failed { failure: denied() });
    let ended = by_second(&second(&adopting(), Status::Preparing), End::Failed(denied(), None));
    assert_eq!((&ended.failure, &ended.looked), (&Some(offline()), &unlooked));
    assert_eq!(ended.attempt_end(), AttemptEnd::Failed { failure: denied() });
    // Nor is it where nobody took it, or where it was a loss of the same kind.
    assert_eq!(adopting().given_up(denied(), at(90_000)).unwrap().looked, unlooked);
    let again = second(&adopting(), Status::Claimed).given_up(offline(), at(900)).unwrap();
    assert_eq!(again.attempt_end(), AttemptEnd::Failed { failure: offline() });
    // Where it adopts nothing, and none was lost before it, its failure is its own.
    assert_eq!(finished(&active(Status::Preparing), End::Failed(denied(), None)).looked, None);
}

#[test]
fn what_was_found_and_was_not_adopted_is_said_to_be_there_perhaps() {
    let found = second(&adopting(), Status::Syncing);
    let lost = found.given_up(crashed(), at(900)).unwrap();
    assert_eq!((&lost.failure, &lost.looked), (&Some(crashed()), &Some(Looked::Failed { failure: crashed() })));
    assert_eq!(lost.attempt_end(), AttemptEnd::Failed { failure: crashed() });
    // Whoever asked to push had found something, whatever it says later.
    let says = Failure::NothingPushed {};
    let ended = by_second(&found, End::Failed(says.clone(), None));
    assert_eq!((&ended.failure, &ended.looked), (&Some(says.clone()), &Some(Looked::Failed { failure: says })));
    assert_eq!(by_second(&found, End::Failed(no_changes(), Some(result()))).looked, None, "it is linked");
    assert_eq!(by_second(&found, End::Completed(result())).looked, None);
}

#[test]
fn what_went_back_by_the_policy_and_failed_before_it_could_look_says_that_it_may_have_pushed() {
    let back = active(Status::Syncing).requeued(at(400)).unwrap();
    let unlooked = Some(Looked::Failed { failure: no_changes() });
    for status in [Status::Claimed, Status::Preparing] {
        let ended = by_second(&second(&back, status), End::Failed(no_changes(), None));
        assert_eq!((&ended.failure, &ended.looked), (&Some(no_changes()), &unlooked), "{status:?}");
        assert_eq!(ended.attempt_end(), AttemptEnd::Failed { failure: no_changes() }, "{status:?}");
    }
    assert_eq!(back.given_up(no_changes(), at(90_000)).unwrap().looked, unlooked, "nobody took it");
    // Its agent begins where nothing is found.
    assert_eq!(by_second(&second(&back, Status::Executing), End::Failed(no_changes(), None)).looked, None);
    assert_eq!(by_second(&second(&back, Status::Preparing), End::Cancelled).looked, None);
}

#[test]
fn what_is_found_completes_it_and_what_comes_in_between_is_said() {
    let found = second(&adopting(), Status::Syncing);
    let done = by_second(&found, End::Completed(result()));
    assert_eq!((done.status, done.failure.as_ref(), done.result.as_ref()), (Status::Completed, None, Some(&result())));
    let refused = || Failure::PullRequestRefused { forge: "GitHub".into(), reason: "no".into() };
    assert_eq!(by_second(&found, End::Failed(refused(), None)).failure, Some(refused()));
}

#[test]
fn an_attempt_that_found_something_and_is_lost_is_not_said_to_have_found_nothing() {
    let ended = second(&adopting(), Status::Syncing).given_up(crashed(), at(900)).unwrap();
    assert_eq!(ended.failure, Some(crashed()));
    assert_eq!(ended.attempt_end(), AttemptEnd::Failed { failure: crashed() });
}

/// An older runner has its agent work all the same.
#[test]
fn what_asked_instead_of_looking_and_got_no_answer_fails_by_the_loss() {
    let job = second(&adopting(), Status::Executing);
    let asking = job.yielded(&fence(&job, 2, "c2"), &yielded(asks(), 0), at(430)).unwrap();
    let until = asking.rests_until().unwrap();
    assert_eq!(asking.expired(until).unwrap().failure, Some(offline()));
}

#[test]
fn people_may_cancel_or_pause_what_is_to_be_adopted() {
    let pushed = active(Status::Syncing);
    let cancelled = pushed.cancelled(Cancel::new("ann", None, at(210)), at(210)).unwrap();
    assert_eq!(cancelled.requeued_to_adopt(offline(), at(400)).unwrap().status, Status::Cancelled);
    let pausing = pushed.paused(Pause::new("ann", at(210)), at(210)).unwrap();
    let still = pausing.requeued_to_adopt(offline(), at(400)).unwrap();
    assert_eq!((still.status, still.want, still.adopts.as_ref()), (Status::Paused, Want::Run, Some(&offline())));
    let on = still.continued(at(500)).unwrap();
    assert_eq!((on.status, on.adopts), (Status::Ready, Some(offline())));
}

#[test]
fn a_job_that_is_cancelled_remembers_a_push_that_nobody_told_or_looked_for() {
    let by_ann = || Cancel::new("ann", None, at(210));
    let cancelled = |job: &Job| job.cancelled(by_ann(), at(210)).unwrap();
    let pushing = cancelled(&active(Status::Syncing));
    let lost = |ended: Result<Job, NotNow>| {
        let ended = ended.unwrap();
        assert_eq!(ended.status, Status::Cancelled);
        ended.lost_a_push
    };
    assert!(lost(pushing.called_off(at(320))));
    assert!(lost(pushing.requeued(at(400))) && lost(pushing.requeued_to_adopt(offline(), at(400))));
    assert!(lost(pushing.given_up(crashed(), at(400))));
    assert!(
        !lost(pushing.finished(&fence(&pushing, 1, "c1"), &finish_id("f1"), End::Cancelled, at(220))),
        "it says so"
    );
    assert!(!lost(cancelled(&active(Status::Executing)).called_off(at(400))), "it was not let push");
    // Where it went back by its policy, until the next attempt has looked.
    let back = active(Status::Syncing).requeued(at(400)).unwrap();
    assert!(lost(Ok(cancelled(&back))));
    for (status, is_lost) in [(Status::Preparing, true), (Status::Executing, false)] {
        assert_eq!(lost(Ok(by_second(&second(&back, status), End::Cancelled))), is_lost, "{status:?}");
    }
    // One that asks has looked, too, before it worked.
    let asking = second(&back, Status::Executing);
    let asking = asking.yielded(&fence(&asking, 2, "c2"), &yielded(asks(), 0), at(430)).unwrap();
    assert_eq!(asking.status, Status::AwaitingInput);
    assert!(!lost(Ok(cancelled(&asking))));
    // What only adopts has found something by then, and its runner's word about its own push does not take that away.
    for status in [Status::Executing, Status::Syncing] {
        assert!(lost(Ok(by_second(&second(&adopting(), status), End::Cancelled))), "{status:?}");
    }
}

#[test]
fn what_only_adopts_has_lost_a_push_however_far_it_comes_and_whoever_cancels_it() {
    assert!(adopting().lost_a_push);
    for status in [Status::Claimed, Status::Preparing, Status::Executing, Status::Syncing] {
        let held = second(&adopting(), status);
        assert!(held.lost_a_push && held.adopts.is_some(), "{status:?}");
        let told = held.cancelled(Cancel::new("ann", None, at(425)), at(425)).unwrap();
        for cancelled in [by_second(&told, End::Cancelled), told.called_off(at(900)).unwrap()] {
            assert_eq!((cancelled.status, cancelled.lost_a_push), (Status::Cancelled, true), "{status:?}");
        }
    }
}

#[test]
fn a_job_stored_before_pushes_were_remembered_is_read_and_one_that_lost_none_looks_as_before() {
    let stored = serde_json::to_value(ready()).unwrap();
    let fields = stored.as_object().unwrap();
    assert!(["lost_a_push", "adopts", "looked"].iter().all(|field| fields.get(*field).is_none()));
    assert_eq!(serde_json::from_value::<Job>(stored).unwrap(), ready());
    let back = adopting();
    assert_eq!(serde_json::from_value::<Job>(serde_json::to_value(&back).unwrap()).unwrap(), back);
}
