use super::*;
use crate::fixtures::{active, claim, fence, finish_id, just_before, ready_job, step_at, time_at};
use crate::job::explanation::wait_reason;
use crate::job::select::is_claimable;
use crate::job::sweep::JobStep;
use crate::job::{Cancel, Dispatch, JobPolicy, Pause};
use crate::project::DEFAULT_UNCLAIMED_LIMIT;
use crate::project::Resume;
use crate::run::due::{self, Due};
use crate::text::Until;
use crate::text::id::RunnerId;
use std::time::Duration;

pub(in crate::job) fn limit_report(ends: Option<u64>, until: u64) -> ModelFaultReport {
    ModelFaultReport {
        finish: finish_id("f1"),
        failure: Failure::AgentQuota { time: Until(ends.map(time_at)) },
        fault: AccountFault { cause: BreakerCause::LimitReached, ends_at: ends.map(time_at) },
        capability: "claude_code".into(),
        blocked_until: time_at(until),
        session: Some(("claude_code".into(), Some("s-1".into()))),
    }
}

fn report_limit(job: &Job) -> Result<Job, TransitionRefusal> {
    job.requeue_for_model(&fence(job, 1, "c1"), &limit_report(Some(3_600), 3_600), time_at(300))
}

#[test]
fn job_returns_to_ready_until_its_model_is_available() {
    let executing = active(JobStatus::Executing);
    let job = report_limit(&executing).unwrap();
    assert_eq!((job.status, job.run.as_ref(), job.requeues), (JobStatus::Ready, None, executing.requeues));
    assert_eq!(job.ready_since, time_at(300));
    let waits = job.model.clone().unwrap();
    assert_eq!((waits.until, waits.since, waits.times), (time_at(3_600), time_at(300), 1));
    assert_eq!(wait_reason(&job, None, time_at(400)), Some(Wait::LimitReached { time: time_at(3_600) }));
    assert!(matches!(wait_reason(&job, None, time_at(3_600)), Some(Wait::StartingNow { .. })));
    // A later attempt may resume the session and gets all inputs again.
    let session = job.session.clone().unwrap();
    assert_eq!((session.agent.as_str(), session.id.as_deref(), session.inputs), ("claude_code", Some("s-1"), 0));
    let required = JobPolicy { resume: Resume::Require, ..executing.policy.clone() };
    assert_eq!(
        report_limit(&Job { policy: required, ..executing.clone() }).unwrap().session,
        None,
        "it needs a checkpoint"
    );
}

#[test]
fn repeated_report_is_recognised_by_id_and_attempt() {
    let job = report_limit(&active(JobStatus::Executing)).unwrap();
    let says = |attempt, id| {
        let met = ModelFaultReport { finish: finish_id(id), ..limit_report(Some(3_600), 3_600) };
        job.requeue_for_model(&fence(&job, attempt, "c1"), &met, time_at(301))
    };
    assert_eq!(says(1, "f1"), Err(TransitionRefusal::AlreadyDone));
    assert_eq!(says(1, "f2"), Err(TransitionRefusal::LeaseLost));
    assert_eq!(says(2, "f1"), Err(TransitionRefusal::LeaseLost));
}

#[test]
fn fargate_job_is_due_early_and_runner_job_keeps_its_row() {
    let job = report_limit(&active(JobStatus::Executing)).unwrap();
    assert_eq!(due::job(&job), Some(Due::At(time_at(600))), "closing a breaker sends no wake-up");
    assert_eq!(step_at(&job, just_before(time_at(600))), JobStep::Skip);
    assert_eq!(step_at(&job, time_at(600)), JobStep::Start);
    let soon = job.delay_for_model(BreakerCause::LimitReached, "claude_code", time_at(700), time_at(600)).unwrap();
    assert_eq!(soon.dispatch.due, time_at(700));
    assert!(soon.is_waiting_for_model(just_before(time_at(700))) && !soon.is_waiting_for_model(time_at(700)));
    let job = Job { place: Placement::Runners, ..job };
    assert_eq!(due::job(&job), Some(Due::Ready { class: job.class.clone(), order: job.created.millis() }));
    let kite = RunnerId::for_registration("t1", "kite");
    assert!(is_claimable(&job, &job.class, &kite, time_at(301)), "another runner may have another account");
}

#[test]
fn ready_job_is_delayed_once_by_an_open_breaker() {
    let waits = |job: &Job, until, now| {
        job.delay_for_model(BreakerCause::ProviderUnavailable, "codex", time_at(until), time_at(now))
    };
    let job = waits(&ready_job(), 900, 10).unwrap();
    assert_eq!((job.dispatch.due, job.attempt), (time_at(310), 0));
    assert_eq!(
        wait_reason(&job, None, time_at(11)),
        Some(Wait::ProviderUnavailable { provider: "OpenAI".into(), time: time_at(900) })
    );
    assert_eq!(waits(&job, 900, 11), Err(TransitionRefusal::AlreadyDone));
    // A changed end or cause is stored, even if the due time stays.
    assert_eq!(waits(&job, 700, 11).unwrap().model.unwrap().until, time_at(700));
    let limited = job.delay_for_model(BreakerCause::LimitReached, "codex", time_at(900), time_at(11)).unwrap();
    assert_eq!(limited.model.unwrap().cause, BreakerCause::LimitReached);
    assert_eq!(waits(&job, 900, 310).unwrap().dispatch.due, time_at(610));
    let started = job.begin_dispatch(time_at(320)).unwrap();
    assert!(matches!(wait_reason(&started, None, time_at(321)), Some(Wait::TaskStarting { .. })));
    assert_eq!(waits(&started, 900, 330), Err(TransitionRefusal::WrongStatus(JobStatus::Ready)));
    let claimed = started.claim(&claim(1, "c1"), time_at(340)).unwrap();
    assert_eq!(waits(&claimed, 900, 350), Err(TransitionRefusal::WrongStatus(JobStatus::Claimed)));
    assert_eq!(
        waits(&Job { place: Placement::Runners, ..ready_job() }, 900, 10),
        Err(TransitionRefusal::WrongStatus(JobStatus::Ready))
    );
}

#[test]
fn job_that_never_starts_names_its_model_wait() {
    let day = DEFAULT_UNCLAIMED_LIMIT.as_secs();
    let mut job = ready_job();
    job.ready_since = time_at(0);
    let job = job
        .delay_for_model(BreakerCause::LimitReached, "claude_code", time_at(3 * day), time_at(2 * day - 60))
        .unwrap();
    // A day of waiting for the model does not count.
    let JobStep::Fail(failure) = step_at(&job, time_at(2 * day + 240)) else { panic!("not given up") };
    assert!(failure.sentence().contains("The model account's limit is used up until"), "{}", failure.sentence());
}

#[test]
fn job_fails_after_too_many_troubles_or_a_day() {
    let again = |since: u64, times: u32, ends: Option<u64>, until: u64, now: u64| {
        let model = ModelWait {
            since: time_at(since),
            times,
            ..report_limit(&active(JobStatus::Executing)).unwrap().model.unwrap()
        };
        let job = Job { model: Some(model), ..active(JobStatus::Executing) };
        job.requeue_for_model(&fence(&job, 1, "c1"), &limit_report(ends, until), time_at(now)).unwrap()
    };
    let day = MAX_WAIT.as_secs();
    assert_eq!(again(300, MAX_MODEL_FAULTS - 1, None, 900, 310).status, JobStatus::Ready);
    let often = again(300, MAX_MODEL_FAULTS, None, 900, 310);
    assert_eq!((often.status, often.model), (JobStatus::Failed, None));
    assert_eq!(often.failure, Some(Failure::AgentQuota { time: Until(None) }));
    assert_eq!(again(300, 1, None, day + 300, day).status, JobStatus::Ready);
    assert_eq!(again(300, 1, None, day + 301, day).status, JobStatus::Failed);
    // The provider's own end counts, even beyond the longest wait.
    assert_eq!(again(300, 1, Some(day + 9_000), day + 200, 310).status, JobStatus::Failed);
    // The end of the breaker counts, even if it is later than the provider's.
    assert_eq!(again(300, 1, Some(400), day + 301, 310).status, JobStatus::Failed);
}

#[test]
fn only_an_executing_job_waits_for_its_model() {
    for status in [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Syncing] {
        let job = report_limit(&active(status)).unwrap();
        assert_eq!(
            (job.status, job.failure),
            (JobStatus::Failed, Some(limit_report(Some(3_600), 0).failure)),
            "{status:?}"
        );
    }
    let job = active(JobStatus::Executing);
    let other = job.requeue_for_model(&fence(&job, 1, "c9"), &limit_report(None, 600), time_at(300));
    assert_eq!(other, Err(TransitionRefusal::LeaseLost));
    assert_eq!(report_limit(&ready_job()), Err(TransitionRefusal::LeaseLost));
}

#[test]
fn cancel_and_pause_precede_a_model_wait() {
    let job = active(JobStatus::Executing);
    let cancelling = job.cancel(Cancel::new("bob", None, time_at(245)), time_at(245)).unwrap();
    assert_eq!(report_limit(&cancelling).unwrap().status, JobStatus::Cancelled);
    let pausing = job.pause(Pause::new("ann", time_at(240)), time_at(240)).unwrap();
    let paused = report_limit(&pausing).unwrap();
    assert_eq!((paused.status, paused.want), (JobStatus::Paused, DesiredState::Run));
    assert!(paused.run.is_none() && paused.model.is_some());
    assert_eq!(paused.resume(time_at(500)).unwrap().model, None);
    assert_eq!(due::job(&paused), paused.suspended_until().map(Due::At));
    assert!(paused.suspended_until() > Some(time_at(300).plus(Duration::from_secs(3_600))));
}

#[test]
fn day_of_waiting_counts_from_the_first_trouble() {
    let job = report_limit(&active(JobStatus::Executing)).unwrap();
    let put_off =
        job.delay_for_model(BreakerCause::ProviderUnavailable, "codex", time_at(9_000), time_at(3_700)).unwrap();
    let waits = put_off.model.unwrap();
    assert_eq!((waits.cause, waits.until), (BreakerCause::ProviderUnavailable, time_at(9_000)));
    assert_eq!((waits.since, waits.times), (time_at(300), 1));
    // A job without an attempt has no trouble yet.
    let waits = ready_job()
        .delay_for_model(BreakerCause::LimitReached, "codex", time_at(900), time_at(10))
        .unwrap()
        .model
        .unwrap();
    assert_eq!((waits.since, waits.times), (time_at(10), 0));
}

#[test]
fn short_wait_delays_a_job_once_and_never_longer() {
    let waits = |job: &Job, now| job.delay_for_model(BreakerCause::LimitReached, "codex", time_at(200), time_at(now));
    let job = waits(&ready_job(), 10).unwrap();
    assert_eq!((job.dispatch.due, waits(&job, 11)), (time_at(200), Err(TransitionRefusal::AlreadyDone)));
    // A failed start would have delayed it for longer.
    let late = Job { dispatch: Dispatch { due: time_at(400), ..job.dispatch.clone() }, ..job };
    assert_eq!(waits(&late, 150).unwrap().dispatch.due, time_at(200));
}

#[test]
fn session_of_a_model_wait_names_its_runner() {
    let kite = RunnerId::for_registration("t1", "kite");
    let mut held = Job { place: Placement::Runners, ..active(JobStatus::Executing) };
    held.run.as_mut().unwrap().runner = Some(kite.clone());
    let back = report_limit(&held).unwrap();
    let session = back.session.as_ref().unwrap();
    assert_eq!((session.runner.as_ref(), session.attempt), (Some(&kite), 1));
}
