use super::*;
use crate::fixtures::{active, crash_failure, finish, heartbeat_at, pending, ready_job, result, time_at};
use crate::job::{ContinuedPullRequest, End, JobResult, StartRefusal};
use crate::text::Quoted;
use crate::text::failure::Failure;
use crate::text::id::{RepositoryName, RunId};

#[track_caller]
fn check(job: &Job, sentence: &str, help: &str) {
    assert_eq!(
        explain_job(job, wait_reason(job, None, time_at(400)).as_ref(), None, time_at(400)),
        (sentence.to_owned(), help.to_owned())
    );
}

fn job_with_failed_start(fault: DispatchFault) -> Job {
    ready_job().begin_dispatch(time_at(10)).unwrap().record_start_fault(1, 1, fault, time_at(60)).unwrap()
}

#[test]
fn ready_job_names_what_its_start_waits_for() {
    let code = |job: &Job| wait_reason(job, None, time_at(400)).unwrap().code();
    assert_eq!(wait_reason(&ready_job(), None, time_at(400)), Some(Wait::StartingNow { ago: Span(400) }));
    assert_eq!(code(&ready_job().begin_dispatch(time_at(10)).unwrap()), "task_starting");
    assert_eq!(code(&job_with_failed_start(DispatchFault::Throttled)), "fargate_throttled");
    assert_eq!(code(&job_with_failed_start(DispatchFault::MachineFull)), "machine_full");
    assert_eq!(code(&job_with_failed_start(DispatchFault::Interrupted)), "spot_interrupted");
    assert_eq!(code(&job_with_failed_start(DispatchFault::Silent)), "start_failed");
    let reason = "no role".to_owned();
    let refused =
        job_with_failed_start(DispatchFault::Refused { reason: reason.clone(), refusal: StartRefusal::Lasting });
    let next = time_at(65);
    assert_eq!(wait_reason(&refused, None, time_at(400)), Some(Wait::StartFailed { reason, next }));
    let capacity = job_with_failed_start(DispatchFault::Capacity { since: time_at(5) });
    assert_eq!(wait_reason(&capacity, None, time_at(400)), Some(Wait::FargateCapacity { time: time_at(5), next }));
    // A container that died had started, so the sentence names no refusal.
    for fault in [
        DispatchFault::Died { reason: "exit code 1".into() },
        DispatchFault::Silent,
        DispatchFault::Refused { reason: "no role".into(), refusal: StartRefusal::Lasting },
    ] {
        let says = wait_reason(&job_with_failed_start(fault), None, time_at(400)).unwrap().sentence();
        assert!(says.starts_with("The job did not start ("), "{says}");
    }
    // The sentence fits a job on Fargate, which no runner claims.
    let says = wait_reason(&ready_job(), None, time_at(400)).unwrap().sentence();
    assert_eq!(says, "The job may start at any moment; it has been ready for 6 min.");
    // A running start counts, not the last fault.
    let again = capacity.begin_dispatch(time_at(70)).unwrap();
    assert_eq!(wait_reason(&again, None, time_at(400)), Some(Wait::TaskStarting { time: time_at(70), ago: Span(330) }));
}

#[test]
fn pending_job_names_the_next_read_of_its_reviews() {
    let forge = || pending().integration;
    let says = |job: &Job| wait_reason(job, None, time_at(35)).unwrap();
    let failed = |fault| pending().record_context_fault(fault, time_at(30)).unwrap();
    assert_eq!(says(&pending()), Wait::ContextFetch { forge: forge(), n: 1, time: time_at(30) });
    let away = failed(ContextFault::Away { reason: "502".into() });
    assert_eq!(says(&away), Wait::ContextFetch { forge: forge(), n: 2, time: time_at(40) });
    let limited = failed(ContextFault::RateLimited { until: time_at(900) });
    assert_eq!(says(&limited), Wait::ForgeRateLimited { forge: forge(), time: time_at(900) });
    let silent = failed(ContextFault::Silent { until: time_at(900) });
    assert_eq!(says(&silent), Wait::NoReviewText { time: time_at(900) });
}

#[test]
fn job_that_failed_after_a_lost_push_may_have_pushed() {
    let pushing = active(JobStatus::Syncing);
    let failed = pushing.fail(crash_failure(), time_at(390)).unwrap();
    let help = format!("Check the forge for the branch `{}`. {}", failed.branch, crash_failure().help());
    check(&failed, "The runner failed with signal 9. A lost attempt may have pushed.", &help);
    let back = pushing.requeue(time_at(390)).unwrap();
    check(&back, "The job may start at any moment; it has been ready for 10 s.", "Nothing to do.");
    assert_eq!(unresolved_push_note(&back), None, "the next attempt searches");
    let unclaimed = back.fail(Failure::SpotInterrupted {}, time_at(398)).unwrap();
    assert_eq!(unresolved_push_note(&unclaimed), Some("A lost attempt may have pushed."));
}

#[test]
fn advice_on_a_step_repeats_by_its_run() {
    let run = RunId::for_request(&crate::fixtures::project_id(), "", "one");
    let of = |name: &str, failure: &Failure| {
        let (run, name) = (run.clone(), name.to_owned());
        let step = StepOfRun { run, name, may_change_nothing: false, reports: false, has_own_branch: false };
        explain_failure(&Job { step: Some(step), ..active(JobStatus::Executing) }, failure).1
    };
    let resume = format!("`pullyard runs resume {}`", run.short());
    for failure in Failure::samples() {
        let help = of("fix", &failure);
        assert!(!help.contains("ticket") && !help.contains("jobs retry"), "{help}");
        assert!(!help.contains("runs resume`"), "{help}");
        let help = of("lead/fix", &failure);
        for clause in ["runs resume", "without an agent", "the same work", "continues it"] {
            assert!(!help.contains(clause), "only its run knows what repeats it: {help}");
        }
    }
    let missing = Failure::BaseBranchMissing { repo: RepositoryName::new("acme/app").unwrap(), branch: "mian".into() };
    assert!(of("fix", &missing).ends_with(&format!("Then {resume}, or start another run with the name of a branch.")));
    let why = format!("Then `pullyard runs why {}/lead/fix`, which explains how to repeat it.", run.short());
    assert!(of("lead/fix", &missing).ends_with(&why));
    let unchanged = of("fix", &Failure::NoChanges { left_out: Quoted(None) });
    assert!(unchanged.ends_with("; start another run with another prompt or `changes: optional`."), "{unchanged}");
    let long = of("fix", &Failure::PathsTooLong { path: "a/a".into() });
    assert!(long.ends_with(&format!("; then `pullyard run`, or {resume} with the same prompt.")), "{long}");
}

#[test]
fn job_cancelled_during_a_lost_push_may_have_pushed() {
    let cancelling = active(JobStatus::Syncing).cancel(Cancel::new("ann", None, time_at(250)), time_at(250)).unwrap();
    let cancelled = cancelling.enforce_cancel(time_at(320)).unwrap();
    let look = format!("Check the forge for the branch `{}`.", cancelled.branch);
    check(&cancelled, "Cancelled by ann. A lost attempt may have pushed.", &look);
    // A runner that reports its end would report the push too.
    check(&finish(&cancelling, End::Cancelled), "Cancelled by ann.", "Nothing to do.");
}

#[test]
fn help_names_the_branch_and_the_continued_pull_request() {
    let continues = Some(ContinuedPullRequest { number: 7, branch: "feature/greet".into() });
    let pushed = Job { continues, ..active(JobStatus::Syncing) };
    let failed = pushed.fail(crash_failure(), time_at(390)).unwrap();
    let (_, help) = explain_job(&failed, None, None, time_at(400));
    let look = format!("Check the forge for the branch `{}` and at pull request #7. Read the ", failed.branch);
    assert!(help.starts_with(&look), "{help}");
}

#[test]
fn merged_or_closed_pull_request_needs_no_review() {
    use PullRequestState::{Closed, Merged, Open};
    let completed = finish(&active(JobStatus::Syncing), End::Completed(Some(result())));
    let is = "The job completed with pull request #231: 2 files changed.";
    for (state, sentence, help) in [
        (None, is.to_owned(), "Review it."),
        (Some(Open), is.to_owned(), "Review it."),
        (Some(Closed), format!("{is} The pull request is closed."), "Nothing to do."),
        (Some(Merged), format!("{is} The pull request is merged."), "Nothing to do."),
    ] {
        assert_eq!(explain_job(&completed, None, state, time_at(400)), (sentence, help.to_owned()), "{state:?}");
    }
    let failed = finish(&active(JobStatus::Syncing), End::Failed(crash_failure(), Some(result())));
    let says = explain_job(&failed, None, Some(Merged), time_at(400));
    assert_eq!(says, ("The runner failed with signal 9. The pull request is merged.".into(), "Nothing to do.".into()));
    // A job without a pull request does not mention it.
    let cancelled = finish(&active(JobStatus::Syncing), End::Cancelled);
    assert_eq!(
        explain_job(&cancelled, None, Some(Merged), time_at(400)),
        explain_job(&cancelled, None, None, time_at(400))
    );
}

#[test]
fn running_job_names_the_silence_of_its_attempt() {
    for (secs, ago) in [(355, "45 s"), (320, "80 s")] {
        let job = heartbeat_at(&active(JobStatus::Executing), secs);
        let sentence = format!("Attempt 1 (Executing) has been silent for {ago}; after 2 min it is stopped.");
        check(&job, &sentence, "Wait; the setting `offline` decides whether the job is queued again or fails.");
    }
    // It ended without a further heartbeat.
    let failed = active(JobStatus::Executing).fail(crash_failure(), time_at(290)).unwrap();
    check(&failed, "The runner failed with signal 9.", &crash_failure().help());
}

#[test]
fn running_or_ended_job_names_its_state() {
    let job = heartbeat_at(&active(JobStatus::Executing), 356);
    assert_eq!(wait_reason(&job, None, time_at(400)), None);
    check(&job, "The agent is working (attempt 1, started 5 min ago).", "Nothing to do.");
    let syncing = active(JobStatus::Syncing);
    check(
        &finish(&syncing, End::Completed(Some(result()))),
        "The job completed with pull request #231: 2 files changed.",
        "Review it.",
    );
    let small = JobResult { files: 1, ..result() };
    check(
        &finish(&syncing, End::Completed(Some(small))),
        "The job completed with pull request #231: 1 file changed.",
        "Review it.",
    );
    check(&finish(&syncing, End::Cancelled), "The job was cancelled.", "Nothing to do.");
    let failed = job.fail(crash_failure(), time_at(300)).unwrap();
    check(&failed, "The runner failed with signal 9.", &crash_failure().help());
}
