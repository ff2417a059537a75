use super::*;
use crate::fixtures::{
    active, crash_failure, fence, finish_id, heartbeat_at, just_before, no_changes_failure, ready_job, result, step_at,
    time_at,
};
use crate::job::explanation::explain_job;
use crate::job::sweep::JobStep;
use crate::job::{LastReport, Placement};
use crate::run::due::{self, Due};

const ACTIVE_STATUSES: [JobStatus; 4] =
    [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing];

fn cancel_by_ann(secs: u64) -> Cancel {
    Cancel::new("ann", None, time_at(secs))
}

fn cancel(job: &Job) -> Job {
    job.cancel(cancel_by_ann(250), time_at(250)).unwrap()
}

#[test]
fn ended_job_may_leave_a_task_when_no_finish_came() {
    let dispatching = ready_job().begin_dispatch(time_at(10)).unwrap();
    let named = dispatching.set_task(1, dispatching.dispatch.number, "task-1").unwrap();
    let mut held = active(JobStatus::Executing);
    held.run.as_mut().unwrap().task = Some("task-2".into());
    let with_finish = |job: &Job| job.end(End::Cancelled, Some(finish_id("f")), time_at(250));
    let without_finish = |job: &Job| job.end(End::Cancelled, None, time_at(250));
    let runners = Job { place: Placement::Runners, ..held.clone() };
    let stopped = held.record_container_stop("task-2", crash_failure(), time_at(240)).unwrap();
    for (job, may, tasks) in [
        (cancel(&ready_job()), false, vec![]),
        (cancel(&dispatching), true, vec![]),
        (cancel(&named), true, vec!["task-1"]),
        (without_finish(&held), true, vec!["task-2"]),
        (with_finish(&held), false, vec![]),
        (cancel(&held), false, vec!["task-2"]),
        (without_finish(&runners), false, vec![]),
        (held.end(End::Failed(no_changes_failure(), None), None, time_at(250)), true, vec!["task-2"]),
        (without_finish(&stopped), false, vec![]),
    ] {
        assert_eq!(job.may_have_orphaned_task(), may, "{:?} {:?}", job.status, job.ended_by);
        assert_eq!(job.last_tasks().collect::<Vec<_>>(), tasks);
        let stopped = job.record_stopped_orphans();
        assert_eq!(stopped.is_ok(), may);
        assert!(stopped.is_ok_and(|job| !job.may_have_orphaned_task() && due::job(&job).is_none()) || !may);
    }
}

#[test]
fn orphans_are_abandoned_a_day_after_the_end() {
    let ended = active(JobStatus::Executing).fail(crash_failure(), time_at(300)).unwrap();
    let day_later = time_at(300).plus(MAX_STOP_TIME);
    assert!(!ended.may_abandon_orphans(just_before(day_later)) && ended.may_abandon_orphans(day_later));
    let requeued = active(JobStatus::Executing).requeue(time_at(300)).unwrap();
    assert!(!requeued.may_abandon_orphans(day_later), "its next start stops them first");
}

#[test]
fn stop_of_a_task_after_the_cancel_is_ignored() {
    let job = cancel(&active(JobStatus::Executing)).enforce_cancel(time_at(310)).unwrap();
    assert_eq!(job.last_tasks().collect::<Vec<_>>(), ["task-c1"]);
    assert_eq!(job.record_container_stop("task-c1", crash_failure(), time_at(320)), Err(TransitionRefusal::LeaseLost));
}

#[test]
fn only_a_held_job_with_a_cancel_has_a_stop_deadline() {
    let cancelling = cancel(&active(JobStatus::Executing));
    assert_eq!(cancelling.stop_deadline(), Some(cancel_by_ann(250).stop_deadline()));
    assert_eq!(Job { status: JobStatus::Ready, ..cancelling.clone() }.stop_deadline(), None, "no runner holds it");
    assert_eq!(Job { want: DesiredState::Run, ..cancelling }.stop_deadline(), None, "no cancel is requested");
}

#[test]
fn effect_of_a_cancel_depends_on_the_status() {
    // docs/reference/states.md has every status.
    for job in [ready_job(), Job { place: Placement::Runners, ..ready_job() }] {
        let ended = cancel(&job);
        assert_eq!(
            (ended.status, ended.ended_at, ended.want),
            (JobStatus::Cancelled, Some(time_at(250)), DesiredState::Run)
        );
        assert_eq!(ended.ended_by, Some(LastReport { attempt: job.attempt, finish: None }));
        assert_eq!((ended.cancel.as_ref(), due::job(&ended)), (Some(&cancel_by_ann(250)), None));
    }
    for job in ACTIVE_STATUSES.map(active) {
        let cancelling = cancel(&job);
        assert_eq!((cancelling.status, cancelling.want), (job.status, DesiredState::Cancel));
    }
}

#[test]
fn first_user_to_cancel_is_recorded() {
    for job in [ready_job(), active(JobStatus::Executing)] {
        let first = cancel(&job);
        assert_eq!(
            first.cancel(Cancel::new("bob", None, time_at(260)), time_at(260)),
            Err(TransitionRefusal::AlreadyDone)
        );
        assert_eq!(first.cancel.unwrap().by, "ann");
    }
}

#[test]
fn cancelled_job_is_due_after_its_stop_or_push_deadline() {
    for status in [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing] {
        let job = cancel(&heartbeat_at(&active(status), 250));
        assert_eq!(due::job(&job), Some(Due::At(time_at(310))));
        assert_eq!(step_at(&job, just_before(time_at(310))), JobStep::Skip);
        assert_eq!(job.enforce_cancel(just_before(time_at(310))), Err(TransitionRefusal::NotBefore(time_at(310))));
        assert_eq!(step_at(&job, time_at(310)), JobStep::Cancel);
        assert_eq!(job.enforce_cancel(time_at(310)).unwrap().status, JobStatus::Cancelled);
    }
    let pushing = cancel(&active(JobStatus::Syncing));
    assert_eq!(due::job(&pushing), Some(Due::At(time_at(320))));
    assert_eq!(step_at(&pushing, just_before(time_at(320))), JobStep::Skip);
    assert_eq!(pushing.enforce_cancel(time_at(319)), Err(TransitionRefusal::NotBefore(time_at(320))));
    assert_eq!(step_at(&pushing, time_at(320)), JobStep::Cancel);
    // An earlier time limit still ends it as Cancelled.
    let mut short = active(JobStatus::Executing);
    short.policy.wall_secs = 100;
    assert_eq!(due::job(&cancel(&short)), Some(Due::At(time_at(260))));
    assert_eq!(cancel(&short).fail(crash_failure(), time_at(260)).unwrap().status, JobStatus::Cancelled);
}

#[test]
fn job_without_a_cancel_is_never_called_off() {
    for status in ACTIVE_STATUSES {
        assert_eq!(active(status).enforce_cancel(time_at(9_000)), Err(TransitionRefusal::WrongStatus(status)));
    }
    assert_eq!(ready_job().enforce_cancel(time_at(9_000)), Err(TransitionRefusal::WrongStatus(JobStatus::Ready)));
}

#[test]
fn finish_after_a_cancel_keeps_the_runners_result() {
    let finish = |job: &Job, end| job.finish(&fence(job, 1, "c1"), &finish_id("f1"), end, time_at(300)).unwrap();
    for status in ACTIVE_STATUSES {
        let stopped = finish(&cancel(&active(status)), End::Cancelled);
        assert_eq!(
            (stopped.status, stopped.cancel, stopped.want),
            (JobStatus::Cancelled, Some(cancel_by_ann(250)), DesiredState::Run)
        );
        // The job failed before the runner received the cancel, so the failure counts.
        let failed = finish(&cancel(&active(status)), End::Failed(no_changes_failure(), None));
        assert_eq!((failed.status, failed.cancel), (JobStatus::Failed, None));
    }
    let done = finish(&cancel(&active(JobStatus::Syncing)), End::Completed(Some(result())));
    assert_eq!((done.status, done.cancel.clone()), (JobStatus::Completed, None));
    assert_eq!(
        done.cancel(cancel_by_ann(310), time_at(310)),
        Err(TransitionRefusal::WrongStatus(JobStatus::Completed))
    );
}

#[test]
fn cancelled_job_is_neither_requeued_nor_failed() {
    for status in ACTIVE_STATUSES {
        let job = cancel(&active(status));
        for ended in [job.requeue(time_at(400)).unwrap(), job.fail(crash_failure(), time_at(400)).unwrap()] {
            assert_eq!((ended.status, ended.failure, ended.requeues), (JobStatus::Cancelled, None, 0));
            assert_eq!(ended.cancel, Some(cancel_by_ann(250)));
        }
    }
}

#[test]
fn why_names_the_user_who_cancelled() {
    let sentence = |job: &Job, secs| explain_job(job, None, None, time_at(secs)).0;
    let executing = cancel(&active(JobStatus::Executing));
    assert_eq!(sentence(&executing, 260), "ann cancelled the job 10 s ago, in attempt 1; its runner is stopping it.");
    let pushing = cancel(&active(JobStatus::Syncing));
    assert_eq!(
        sentence(&pushing, 260),
        "ann cancelled the job 10 s ago, in attempt 1; it completes if its push succeeds."
    );
    assert_eq!(sentence(&cancel(&ready_job()), 260), "Cancelled by ann.");
    let wrong = ready_job().cancel(Cancel::new("ann", Some("the wrong ticket"), time_at(250)), time_at(250)).unwrap();
    assert_eq!(sentence(&wrong, 260), "Cancelled by ann: \"the wrong ticket\".");
}

#[test]
fn stored_cancel_is_short_and_printable() {
    let hostile = "\u{202e}\n\u{1b}[31m".repeat(500) + &"x".repeat(500);
    let cancel = Cancel::new(&hostile, Some(&hostile), time_at(0));
    assert!(serde_json::to_string(&cancel).unwrap().len() < 800);
    assert!(cancel.sentence().chars().count() <= 140, "{}", cancel.sentence());
    assert!(!cancel.sentence().contains(char::is_control));
    assert_eq!(Cancel::new("ann", Some(" \n "), time_at(0)), cancel_by_ann(0));
}

#[test]
fn cancel_sentence_clips_the_reason_to_its_room() {
    let sentence =
        |name: usize| Cancel::new(&"n".repeat(name), Some(&"r".repeat(MAX_REASON_CHARS)), time_at(0)).sentence();
    assert_eq!(sentence(2), format!("Cancelled by nn: \"{}\".", "r".repeat(MAX_REASON_CHARS)));
    for name in [2, 3, 48] {
        assert_eq!(sentence(name).chars().count(), 140);
    }
    assert!(sentence(3).ends_with("r…\"."));
}
