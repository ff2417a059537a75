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

/// The limit is used up until so many seconds.
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
fn an_attempt_whose_model_answers_nobody_goes_back_and_says_until_when() {
    let executing = active(Status::Executing);
    let job = put_back(&executing).unwrap();
    assert_eq!((job.status, job.run.as_ref(), job.requeues), (Status::Ready, None, executing.requeues));
    assert_eq!(job.ready_since, at(300));
    let waits = job.model.clone().unwrap();
    assert_eq!((waits.until, waits.since, waits.times), (at(3_600), at(300), 1));
    assert_eq!(wait(&job, None, at(400)), Some(Wait::LimitReached { time: at(3_600) }));
    assert!(matches!(wait(&job, None, at(3_600)), Some(Wait::StartingNow { .. })));
    // A later attempt may go on with what this one knows, and has everything to read again.
    let session = job.session.clone().unwrap();
    assert_eq!((session.agent.as_str(), session.id.as_deref(), session.inputs), ("claude_code", Some("s-1"), 0));
    let required = Policy { resume: Resume::Require, ..executing.policy.clone() };
    assert_eq!(
        put_back(&Job { policy: required, ..executing.clone() }).unwrap().session,
        None,
        "it would be lost by it"
    );
    let repeat = job.waits_for_model(&fence(&executing, 1, "c1"), &met(Some(3_600), 3_600), at(301));
    assert_eq!(repeat, Err(NotNow::Already));
}

#[test]
fn what_it_asks_of_a_runner_stands_there_whole_whoever_has_it_wait() {
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
fn a_repeat_is_known_by_its_id_and_its_attempt() {
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
fn it_waits_until_the_moment_at_which_its_account_may_be_asked() {
    let job = put_back(&active(Status::Executing)).unwrap();
    assert_eq!([3_599, 3_600, 3_601].map(|now| job.waits_long(at(now))), [true, false, false]);
    assert!(!ready().waits_long(at(0)));
}

#[test]
fn on_fargate_it_is_looked_at_in_time_and_on_runners_it_keeps_its_place() {
    let job = put_back(&active(Status::Executing)).unwrap();
    assert_eq!(due::job(&job), Some(Due::At(at(600))), "a breaker that was closed by hand tells nobody");
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
fn who_waits_to_be_started_is_put_off_once_and_starts_when_it_is_over() {
    let waits = |job: &Job, until, now| job.left_alone(Cause::ProviderUnavailable, "codex", at(until), at(now));
    let job = waits(&ready(), 900, 10).unwrap();
    assert_eq!((job.dispatch.due, job.attempt), (at(310), 0));
    assert_eq!(wait(&job, None, at(11)), Some(Wait::ProviderUnavailable { provider: "OpenAI".into(), time: at(900) }));
    assert_eq!(waits(&job, 900, 11), Err(NotNow::Already));
    // What is known otherwise by now is news, though it is looked at no sooner.
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
fn what_nobody_starts_for_a_day_says_what_it_waited_for() {
    let day = LONGEST_WAIT.as_secs();
    let mut job = ready();
    job.ready_since = at(0);
    let job = job.left_alone(Cause::LimitReached, "claude_code", at(day + 60), at(day - 60)).unwrap();
    let Step::GiveUp(failure) = step(&job, at(day + 60)) else { panic!("it is not given up") };
    assert!(failure.sentence().contains("The model account's limit is used up until"), "{}", failure.sentence());
}

#[test]
fn one_that_met_it_too_often_or_waited_for_a_day_fails_by_it() {
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
    // What its provider says counts, also beyond what is waited for at most: it comes too late.
    assert_eq!(again(300, 1, Some(day + 9_000), day + 200, 310).status, Status::Failed);
    // So does how long its account is left alone, also where that is longer than its provider said.
    assert_eq!(again(300, 1, Some(400), day + 301, 310).status, Status::Failed);
}

#[test]
fn only_an_agent_at_work_meets_its_model() {
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
fn what_its_people_want_comes_first_and_whoever_continues_it_begins_the_count_anew() {
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
fn a_day_of_waiting_counts_from_the_first_trouble_though_it_is_put_off_in_between() {
    let job = put_back(&active(Status::Executing)).unwrap();
    let put_off = job.left_alone(Cause::ProviderUnavailable, "codex", at(9_000), at(3_700)).unwrap();
    let waits = put_off.model.unwrap();
    assert_eq!((waits.cause, waits.until), (Cause::ProviderUnavailable, at(9_000)));
    assert_eq!((waits.since, waits.times), (at(300), 1));
    // One that no attempt was made for has met nothing yet.
    let waits = ready().left_alone(Cause::LimitReached, "codex", at(900), at(10)).unwrap().model.unwrap();
    assert_eq!((waits.since, waits.times), (at(10), 0));
}

#[test]
fn who_waits_for_less_than_five_minutes_is_put_off_once_and_never_beyond_that() {
    let waits = |job: &Job, now| job.left_alone(Cause::LimitReached, "codex", at(200), at(now));
    let job = waits(&ready(), 10).unwrap();
    assert_eq!((job.dispatch.due, waits(&job, 11)), (at(200), Err(NotNow::Already)));
    // A start that came to nothing would have it wait for longer.
    let late = Job { dispatch: Dispatch { due: at(400), ..job.dispatch.clone() }, ..job };
    assert_eq!(waits(&late, 150).unwrap().dispatch.due, at(200));
}

#[test]
fn the_runner_whose_model_answered_nobody_has_its_job_first_afterwards() {
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
