use super::*;
use crate::due::{self, Due};
use crate::id::RunnerId;
use crate::job::{Cancel, Dispatch, PREFERRED_FOR, Pause, Policy};
use crate::project::Resume;
use crate::select::is_claimable;
use crate::story::{active, at, claim, fence, finish_id, just_before, ready};
use crate::sweep::{LONGEST_WAIT, Step, step};
use crate::text::Until;
use crate::why::wait;
use std::time::Duration;

/// A report that the account's limit is used up until `ends`.
pub(in crate::job) fn met(ends: Option<u64>, until: u64) -> Troubled {
    Troubled {
        finish: finish_id("f1"),
        failure: Failure::AgentQuota { time: Until(ends.map(at)) },
        trouble: Trouble { cause: Cause::LimitReached, ends: ends.map(at) },
        capability: "claude_code".into(),
        until: at(until),
        session: Some(("claude_code".into(), Some("s-1".into()))),
    }
}

fn put_back(job: &Job) -> Result<Job, NotNow> {
    job.waits_for_model(&fence(job, 1, "c1"), &met(Some(3_600), 3_600), at(300))
}

#[test]
fn job_returns_to_ready_until_its_model_is_available() {
    let executing = active(Status::Executing);
    let job = put_back(&executing).unwrap();
    assert_eq!((job.status, job.run.as_ref(), job.requeues), (Status::Ready, None, executing.requeues));
    assert_eq!(job.ready_since, at(300));
    let waits = job.model.clone().unwrap();
    assert_eq!((waits.until, waits.since, waits.times), (at(3_600), at(300), 1));
    assert_eq!(wait(&job, None, at(400)), Some(Wait::LimitReached { time: at(3_600) }));
    assert!(matches!(wait(&job, None, at(3_600)), Some(Wait::StartingNow { .. })));
    // A later attempt may resume the session and gets all inputs again.
    let session = job.session.clone().unwrap();
    assert_eq!((session.agent.as_str(), session.id.as_deref(), session.inputs), ("claude_code", Some("s-1"), 0));
    let required = Policy { resume: Resume::Require, ..executing.policy.clone() };
    assert_eq!(
        put_back(&Job { policy: required, ..executing.clone() }).unwrap().session,
        None,
        "it needs a checkpoint"
    );
    let repeat = job.waits_for_model(&fence(&executing, 1, "c1"), &met(Some(3_600), 3_600), at(301));
    assert_eq!(repeat, Err(NotNow::Already));
}

#[test]
fn capability_of_a_model_wait_is_not_clipped() {
    let capability = "c".repeat(41);
    let met = Troubled { capability: capability.clone(), ..met(Some(3_600), 3_600) };
    let executing = active(Status::Executing);
    let back = executing.waits_for_model(&fence(&executing, 1, "c1"), &met, at(300)).unwrap();
    let off = ready().left_alone(Cause::LimitReached, &capability, at(3_600), at(300)).unwrap();
    for job in [back, off] {
        assert_eq!(job.model.unwrap().capability, capability);
    }
}

#[test]
fn repeated_report_is_recognised_by_id_and_attempt() {
    let job = put_back(&active(Status::Executing)).unwrap();
    let says = |attempt, id| {
        let met = Troubled { finish: finish_id(id), ..met(Some(3_600), 3_600) };
        job.waits_for_model(&fence(&job, attempt, "c1"), &met, at(301))
    };
    assert_eq!(says(1, "f1"), Err(NotNow::Already));
    assert_eq!(says(1, "f2"), Err(NotNow::LeaseLost));
    assert_eq!(says(2, "f1"), Err(NotNow::LeaseLost));
}

#[test]
fn job_waits_until_its_account_is_available() {
    let job = put_back(&active(Status::Executing)).unwrap();
    assert_eq!([3_599, 3_600, 3_601].map(|now| job.waits_long(at(now))), [true, false, false]);
    assert!(!ready().waits_long(at(0)));
}

#[test]
fn fargate_job_is_due_early_and_runner_job_keeps_its_row() {
    let job = put_back(&active(Status::Executing)).unwrap();
    assert_eq!(due::job(&job), Some(Due::At(at(600))), "closing a breaker sends no wake-up");
    assert_eq!(step(&job, just_before(at(600))), Step::Nothing);
    assert_eq!(step(&job, at(600)), Step::Start);
    let soon = job.left_alone(Cause::LimitReached, "claude_code", at(700), at(600)).unwrap();
    assert_eq!(soon.dispatch.due, at(700));
    let job = Job { place: Place::Runners, ..job };
    assert_eq!(due::job(&job), Some(Due::Ready { class: job.class.clone(), order: job.created.millis() }));
    let kite = RunnerId::of("t1", "kite");
    assert!(is_claimable(&job, &job.class, &kite, at(301)), "another runner may have another account");
}

#[test]
fn ready_job_is_delayed_once_by_an_open_breaker() {
    let waits = |job: &Job, until, now| job.left_alone(Cause::ProviderUnavailable, "codex", at(until), at(now));
    let job = waits(&ready(), 900, 10).unwrap();
    assert_eq!((job.dispatch.due, job.attempt), (at(310), 0));
    assert_eq!(wait(&job, None, at(11)), Some(Wait::ProviderUnavailable { provider: "OpenAI".into(), time: at(900) }));
    assert_eq!(waits(&job, 900, 11), Err(NotNow::Already));
    // A changed end or cause is stored, even if the due time stays.
    assert_eq!(waits(&job, 700, 11).unwrap().model.unwrap().until, at(700));
    let limited = job.left_alone(Cause::LimitReached, "codex", at(900), at(11)).unwrap();
    assert_eq!(limited.model.unwrap().cause, Cause::LimitReached);
    assert_eq!(waits(&job, 900, 310).unwrap().dispatch.due, at(610));
    let started = job.dispatched(at(320)).unwrap();
    assert!(matches!(wait(&started, None, at(321)), Some(Wait::TaskStarting { .. })));
    assert_eq!(waits(&started, 900, 330), Err(NotNow::Status(Status::Ready)));
    let claimed = started.claimed(&claim(1, "c1"), at(340)).unwrap();
    assert_eq!(waits(&claimed, 900, 350), Err(NotNow::Status(Status::Claimed)));
    assert_eq!(waits(&Job { place: Place::Runners, ..ready() }, 900, 10), Err(NotNow::Status(Status::Ready)));
}

#[test]
fn job_that_never_starts_names_its_model_wait() {
    let day = LONGEST_WAIT.as_secs();
    let mut job = ready();
    job.ready_since = at(0);
    let job = job.left_alone(Cause::LimitReached, "claude_code", at(day + 60), at(day - 60)).unwrap();
    let Step::GiveUp(failure) = step(&job, at(day + 60)) else { panic!("not given up") };
    assert!(failure.sentence().contains("The model account's limit is used up until"), "{}", failure.sentence());
}

#[test]
fn job_fails_after_too_many_troubles_or_a_day() {
    let again = |since: u64, times: u32, ends: Option<u64>, until: u64, now: u64| {
        let model =
            ModelWait { since: at(since), times, ..put_back(&active(Status::Executing)).unwrap().model.unwrap() };
        let job = Job { model: Some(model), ..active(Status::Executing) };
        job.waits_for_model(&fence(&job, 1, "c1"), &met(ends, until), at(now)).unwrap()
    };
    let day = LONGEST.as_secs();
    assert_eq!(again(300, MOST_TROUBLES - 1, None, 900, 310).status, Status::Ready);
    let often = again(300, MOST_TROUBLES, None, 900, 310);
    assert_eq!((often.status, often.model), (Status::Failed, None));
    assert_eq!(often.failure, Some(Failure::AgentQuota { time: Until(None) }));
    assert_eq!(again(300, 1, None, day + 300, day).status, Status::Ready);
    assert_eq!(again(300, 1, None, day + 301, day).status, Status::Failed);
    // The provider's own end counts, even beyond the longest wait.
    assert_eq!(again(300, 1, Some(day + 9_000), day + 200, 310).status, Status::Failed);
    // The end of the breaker counts, even if it is later than the provider's.
    assert_eq!(again(300, 1, Some(400), day + 301, 310).status, Status::Failed);
}

#[test]
fn only_an_executing_job_waits_for_its_model() {
    for status in [Status::Claimed, Status::Preparing, Status::Syncing] {
        let job = put_back(&active(status)).unwrap();
        assert_eq!((job.status, job.failure), (Status::Failed, Some(met(Some(3_600), 0).failure)), "{status:?}");
    }
    let job = active(Status::Executing);
    let other = job.waits_for_model(&fence(&job, 1, "c9"), &met(None, 600), at(300));
    assert_eq!(other, Err(NotNow::LeaseLost));
    assert_eq!(put_back(&ready()), Err(NotNow::LeaseLost));
}

#[test]
fn cancel_and_pause_precede_a_model_wait() {
    let job = active(Status::Executing);
    let cancelling = job.cancelled(Cancel::new("bob", None, at(245)), at(245)).unwrap();
    assert_eq!(put_back(&cancelling).unwrap().status, Status::Cancelled);
    let pausing = job.paused(Pause::new("ann", at(240)), at(240)).unwrap();
    let paused = put_back(&pausing).unwrap();
    assert_eq!((paused.status, paused.want), (Status::Paused, Want::Run));
    assert!(paused.run.is_none() && paused.model.is_some());
    assert_eq!(paused.continued(at(500)).unwrap().model, None);
    assert_eq!(due::job(&paused), paused.rests_until().map(Due::At));
    assert!(paused.rests_until() > Some(at(300).plus(Duration::from_secs(3_600))));
}

#[test]
fn day_of_waiting_counts_from_the_first_trouble() {
    let job = put_back(&active(Status::Executing)).unwrap();
    let put_off = job.left_alone(Cause::ProviderUnavailable, "codex", at(9_000), at(3_700)).unwrap();
    let waits = put_off.model.unwrap();
    assert_eq!((waits.cause, waits.until), (Cause::ProviderUnavailable, at(9_000)));
    assert_eq!((waits.since, waits.times), (at(300), 1));
    // A job without an attempt has no trouble yet.
    let waits = ready().left_alone(Cause::LimitReached, "codex", at(900), at(10)).unwrap().model.unwrap();
    assert_eq!((waits.since, waits.times), (at(10), 0));
}

#[test]
fn short_wait_delays_a_job_once_and_never_longer() {
    let waits = |job: &Job, now| job.left_alone(Cause::LimitReached, "codex", at(200), at(now));
    let job = waits(&ready(), 10).unwrap();
    assert_eq!((job.dispatch.due, waits(&job, 11)), (at(200), Err(NotNow::Already)));
    // A failed start would have delayed it for longer.
    let late = Job { dispatch: Dispatch { due: at(400), ..job.dispatch.clone() }, ..job };
    assert_eq!(waits(&late, 150).unwrap().dispatch.due, at(200));
}

#[test]
fn runner_of_the_session_is_preferred_after_a_model_wait() {
    let (kite, gull) = (RunnerId::of("t1", "kite"), RunnerId::of("t1", "gull"));
    let mut held = Job { place: Place::Runners, ..active(Status::Executing) };
    held.run.as_mut().unwrap().runner = Some(kite.clone());
    let back = put_back(&held).unwrap();
    let session = back.session.as_ref().unwrap();
    assert_eq!((session.runner.as_ref(), session.attempt), (Some(&kite), 1));
    let later = at(300).plus(PREFERRED_FOR);
    assert!(back.is_left_to(&kite, at(300)) && !back.is_left_to(&gull, just_before(later)));
    assert!(back.is_left_to(&gull, later));
}
