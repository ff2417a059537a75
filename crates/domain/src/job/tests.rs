mod back_off;
mod lost_push;
mod plans;
mod starts;

mod states_page;

use super::*;
use crate::fixtures::{
    active, awaiting_input_job, claim, crash_failure, fence, finish, finish_id, just_before, no_changes_failure,
    paused_job, pending, question, ready_job, result, suspend_report, time_at,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

type Outcome = Result<Job, TransitionRefusal>;
type Transition = fn(&Job, Timestamp) -> Outcome;

/// Every transition, tried by attempt 1 with claim `c1`; a claim is tried by a new runner.
const TRANSITIONS: [(&str, Transition); 20] = [
    ("dispatched", |job, now| job.begin_dispatch(now)),
    ("start_named", |job, _| job.set_task(job.attempt + 1, job.dispatch.number, "task-9")),
    ("start_failed", |job, now| {
        job.record_start_fault(job.attempt + 1, job.dispatch.number, DispatchFault::Throttled, now)
    }),
    ("claimed", |job, now| job.claim(&claim(job.attempt + 1, "c2"), now)),
    ("pending", |job, now| progress_to(job, JobStatus::Pending, now)),
    ("ready", |job, now| progress_to(job, JobStatus::Ready, now)),
    ("preparing", |job, now| progress_to(job, JobStatus::Preparing, now)),
    ("executing", |job, now| progress_to(job, JobStatus::Executing, now)),
    ("syncing", |job, now| progress_to(job, JobStatus::Syncing, now)),
    ("completed", |job, now| finish_by_runner(job, End::Completed(Some(result())), now)),
    ("failed", |job, now| finish_by_runner(job, End::Failed(no_changes_failure(), None), now)),
    ("cancelled", |job, now| finish_by_runner(job, End::Cancelled, now)),
    ("given_up", |job, now| job.fail(crash_failure(), now)),
    ("requeued", |job, now| job.requeue(now)),
    ("died", |job, now| job.record_container_stop("task-c1", crash_failure(), now)),
    ("paused", |job, now| progress_to(job, JobStatus::Paused, now)),
    ("admitted", |job, now| job.admit("c0ffee".into(), "9f3", now)),
    ("asks", |job, now| job.suspend(&fence(job, 1, "c1"), &suspend_report(question(), 0), now)),
    ("yields", |job, now| job.suspend(&fence(job, 1, "c1"), &suspend_report(Suspension::Pause, 0), now)),
    ("unread", |job, now| job.record_context_fault(ContextFault::Away { reason: "502".into() }, now)),
];

fn progress_to(job: &Job, status: JobStatus, now: Timestamp) -> Outcome {
    job.advance(&fence(job, 1, "c1"), status, now)
}

fn finish_by_runner(job: &Job, end: End, now: Timestamp) -> Outcome {
    job.finish(&fence(job, 1, "c1"), &finish_id("f2"), end, now)
}

fn job_with_start() -> Job {
    ready_job().begin_dispatch(time_at(10)).unwrap()
}

fn jobs_in_every_status() -> Vec<(&'static str, Job, Timestamp)> {
    let syncing = || active(JobStatus::Syncing);
    vec![
        ("Pending", pending(), time_at(900)),
        ("Ready", ready_job(), time_at(900)),
        ("Ready, starting", job_with_start(), time_at(900)),
        ("Claimed", active(JobStatus::Claimed), time_at(900)),
        ("Preparing", active(JobStatus::Preparing), time_at(900)),
        ("Executing", active(JobStatus::Executing), time_at(900)),
        ("Syncing, pushing", syncing(), time_at(210)),
        ("Syncing, overdue", syncing(), time_at(900)),
        ("Syncing, question", Job { kind: JobKind::Read, ..syncing() }, time_at(900)),
        ("AwaitingInput", awaiting_input_job(), time_at(900)),
        ("Paused", paused_job(), time_at(900)),
        ("Completed", finish(&syncing(), End::Completed(Some(result()))), time_at(900)),
        ("Failed", finish(&syncing(), End::Failed(no_changes_failure(), None)), time_at(900)),
        ("Cancelled", finish(&syncing(), End::Cancelled), time_at(900)),
    ]
}

fn outcome_cell(from: &Job, outcome: &Outcome) -> String {
    match outcome {
        Ok(next) if next.status == from.status => "stays".into(),
        Ok(next) => format!("{:?}", next.status),
        Err(TransitionRefusal::AlreadyDone) => "already".into(),
        Err(TransitionRefusal::LeaseLost) => "lost".into(),
        Err(TransitionRefusal::WrongStatus(at)) => {
            assert_eq!(*at, from.status, "the refusal names another status");
            "-".into()
        }
        Err(TransitionRefusal::NotBefore(_)) => "early".into(),
        Err(TransitionRefusal::StopRequested) => "unwanted".into(),
        Err(TransitionRefusal::NewerInput) => "newer".into(),
        Err(TransitionRefusal::TooManyInputs) => "full".into(),
    }
}

#[test]
fn job_on_runners_gets_no_task() {
    let job = Job { place: Placement::Runners, ..job_with_start() };
    for (name, way) in &TRANSITIONS[..3] {
        assert_eq!(way(&job, time_at(20)), Err(TransitionRefusal::WrongStatus(JobStatus::Ready)), "{name}");
    }
    assert!(job.claim(&claim(1, "c1"), time_at(20)).is_ok());
}

#[test]
fn each_status_is_terminal_active_or_neither() {
    let of = |test: fn(JobStatus) -> bool| {
        JobStatus::ALL.into_iter().filter(|s| test(*s)).map(JobStatus::label).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of(JobStatus::is_terminal), "Completed Failed Cancelled");
    assert_eq!(of(JobStatus::is_active), "Claimed Preparing Executing Syncing");
    assert_eq!(JobStatus::ALL.into_iter().collect::<BTreeSet<_>>().len(), 11);
    for status in JobStatus::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
    }
}

fn check_fence(job: &Job, fence: &Fence, expected: &Result<(), TransitionRefusal>) {
    let now = time_at(210);
    let outcomes = [
        job.advance(fence, job.status, now).map(drop),
        job.finish(fence, &finish_id("f9"), End::Cancelled, now).map(drop),
        job.check_fence(fence).map(drop),
    ];
    let allowed = [Err(TransitionRefusal::AlreadyDone), Ok(()), Ok(())];
    for (outcome, allowed) in outcomes.into_iter().zip(allowed) {
        assert_eq!(outcome, expected.clone().and(allowed), "{:?} {fence:?}", job.status);
    }
}

#[test]
fn only_the_holding_attempt_and_claim_move_a_job() {
    let lost = Err(TransitionRefusal::LeaseLost);
    for status in [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        // Attempt 2 holds the job.
        let again = active(JobStatus::Preparing).requeue(time_at(150)).unwrap();
        let mut second = again.claim(&claim(2, "c2"), time_at(160)).unwrap();
        for phase in [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
            if second.status != status {
                second = second.advance(&fence(&second, 2, "c2"), phase, time_at(170)).unwrap();
            }
        }
        assert_eq!((second.status, second.attempt), (status, 2));
        check_fence(&second, &fence(&second, 2, "c2"), &Ok(()));
        check_fence(&second, &fence(&second, 2, "c1"), &lost);
        check_fence(&second, &fence(&second, 1, "c2"), &lost);
        check_fence(&second, &fence(&second, 1, "c1"), &lost);
        check_fence(&second, &fence(&second, 3, "c2"), &lost);
    }
}

#[test]
fn attempt_holds_nothing_after_a_requeue_or_an_end() {
    let lost = Err(TransitionRefusal::LeaseLost);
    let held = active(JobStatus::Executing);
    for released in [held.requeue(time_at(210)).unwrap(), held.fail(crash_failure(), time_at(210)).unwrap()] {
        check_fence(&released, &fence(&released, 1, "c1"), &lost);
    }
}

#[test]
fn claim_needs_the_number_of_the_next_attempt() {
    let back = active(JobStatus::Preparing).requeue(time_at(150)).unwrap();
    assert_eq!(back.claim(&claim(1, "c9"), time_at(160)), Err(TransitionRefusal::LeaseLost));
    assert_eq!(back.claim(&claim(1, "c1"), time_at(160)), Err(TransitionRefusal::LeaseLost));
    assert_eq!(back.claim(&claim(3, "c9"), time_at(160)), Err(TransitionRefusal::LeaseLost));
    assert_eq!(back.claim(&claim(2, "c9"), time_at(160)).unwrap().attempt, 2);
    // The second claim of the same attempt fails.
    assert_eq!(active(JobStatus::Claimed).claim(&claim(1, "c9"), time_at(160)), Err(TransitionRefusal::LeaseLost));
}

#[test]
fn cancelled_job_cannot_be_claimed_or_begin_a_push() {
    let stopped = |job: Job| Job { want: DesiredState::Cancel, ..job };
    assert_eq!(stopped(ready_job()).claim(&claim(1, "c1"), time_at(100)), Err(TransitionRefusal::StopRequested));
    let held = stopped(active(JobStatus::Claimed));
    assert_eq!(held.claim(&claim(1, "c1"), time_at(210)), Err(TransitionRefusal::AlreadyDone), "a repeat");
    assert!(progress_to(&held, JobStatus::Preparing, time_at(210)).is_ok());
    let executing = stopped(active(JobStatus::Executing));
    assert_eq!(progress_to(&executing, JobStatus::Syncing, time_at(210)), Err(TransitionRefusal::StopRequested));
    // A push that began before the cancel still completes the job.
    let pushed =
        finish_by_runner(&stopped(active(JobStatus::Syncing)), End::Completed(Some(result())), time_at(210)).unwrap();
    assert_eq!(pushed.status, JobStatus::Completed);
}

#[test]
fn repeats_are_distinguished_from_new_calls() {
    use TransitionRefusal::{AlreadyDone, LeaseLost, WrongStatus};
    #[track_caller]
    fn check(way: fn(&Job) -> Outcome, job: &Job, refusal: TransitionRefusal) {
        assert_eq!(way(&way(job).unwrap()), Err(refusal));
    }
    check(|job| job.begin_dispatch(time_at(10)), &ready_job(), AlreadyDone);
    check(|job| job.set_task(1, 1, "task-9"), &job_with_start(), AlreadyDone);
    check(|job| job.claim(&claim(1, "c1"), time_at(100)), &job_with_start(), AlreadyDone);
    check(|job| progress_to(job, JobStatus::Preparing, time_at(200)), &active(JobStatus::Claimed), AlreadyDone);
    check(|job| progress_to(job, JobStatus::Executing, time_at(200)), &active(JobStatus::Preparing), AlreadyDone);
    check(|job| progress_to(job, JobStatus::Syncing, time_at(200)), &active(JobStatus::Executing), AlreadyDone);
    check(
        |job| finish_by_runner(job, End::Completed(Some(result())), time_at(210)),
        &active(JobStatus::Syncing),
        AlreadyDone,
    );
    check(|job| finish_by_runner(job, End::Cancelled, time_at(210)), &active(JobStatus::Claimed), AlreadyDone);
    let stopped = |job: &Job| job.record_container_stop("task-c1", crash_failure(), time_at(210));
    check(stopped, &active(JobStatus::Claimed), AlreadyDone);
    // These calls carry no id, so a repeat is refused for the new status.
    check(|job| job.fail(crash_failure(), time_at(210)), &active(JobStatus::Claimed), WrongStatus(JobStatus::Failed));
    check(|job| job.requeue(time_at(210)), &active(JobStatus::Claimed), WrongStatus(JobStatus::Ready));
    let silent = |job: &Job| job.record_start_fault(1, 1, DispatchFault::Silent, time_at(20));
    check(silent, &job_with_start(), LeaseLost);
}

#[test]
fn claim_is_a_repeat_while_it_holds_the_job() {
    for status in [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        let claimed = |attempt| active(status).claim(&claim(attempt, "c1"), time_at(210));
        assert_eq!(claimed(1), Err(TransitionRefusal::AlreadyDone), "{status:?}");
        assert_eq!(claimed(2), Err(TransitionRefusal::WrongStatus(status)), "{status:?}: another attempt");
    }
    // After the job's end, a repeat must not make the runner work.
    let over = active(JobStatus::Claimed).fail(crash_failure(), time_at(210)).unwrap();
    assert_eq!(over.claim(&claim(1, "c1"), time_at(220)), Err(TransitionRefusal::LeaseLost));
}

#[test]
fn repeated_finish_is_known_by_its_id_and_attempt() {
    let done = finish(&active(JobStatus::Syncing), End::Completed(Some(result())));
    let again =
        |attempt, finish| done.finish(&fence(&done, attempt, "c1"), &finish_id(finish), End::Cancelled, time_at(400));
    assert_eq!(again(1, "f1"), Err(TransitionRefusal::AlreadyDone));
    assert_eq!(again(1, "f2"), Err(TransitionRefusal::LeaseLost));
    assert_eq!(again(2, "f1"), Err(TransitionRefusal::LeaseLost));
    let by_sweeper = active(JobStatus::Claimed).fail(crash_failure(), time_at(210)).unwrap();
    assert_eq!(finish_by_runner(&by_sweeper, End::Cancelled, time_at(220)), Err(TransitionRefusal::LeaseLost));
}

#[test]
fn only_its_runner_ends_a_job_before_push_until() {
    let pushing = active(JobStatus::Syncing);
    let until = time_at(200).plus(PUSH_WINDOW);
    assert_eq!(pushing.push_until, Some(until));
    for early in [time_at(200), just_before(until)] {
        assert_eq!(pushing.fail(crash_failure(), early), Err(TransitionRefusal::NotBefore(until)));
        assert_eq!(pushing.requeue(early), Err(TransitionRefusal::NotBefore(until)));
    }
    assert_eq!(pushing.fail(crash_failure(), until).unwrap().status, JobStatus::Failed);
    assert_eq!(pushing.requeue(until).unwrap().status, JobStatus::Ready);
    for end in [End::Completed(Some(result())), End::Failed(no_changes_failure(), None), End::Cancelled] {
        let ended = finish_by_runner(&pushing, end, time_at(200)).unwrap();
        assert!(ended.status.is_terminal() && ended.push_until.is_none());
    }
}

#[test]
fn claim_holds_the_job_and_clears_start_faults() {
    let faulty = job_with_start().record_start_fault(1, 1, DispatchFault::Throttled, time_at(20)).unwrap();
    let job = faulty.begin_dispatch(time_at(30)).unwrap().claim(&claim(1, "c1"), time_at(40)).unwrap();
    assert_eq!(job.dispatch.fault, None);
    assert!(!job.dispatch.starting);
    let run = job.run.clone().unwrap();
    assert_eq!((run.started, run.task.as_deref(), run.died.as_ref()), (time_at(40), Some("task-c1"), None));
    assert_eq!((job.status, job.attempt, job.worked), (JobStatus::Claimed, 1, false));
}

#[test]
fn job_counts_as_worked_from_executing_on() {
    let worked = |status| active(status).worked;
    assert!(!worked(JobStatus::Claimed) && !worked(JobStatus::Preparing));
    assert!(worked(JobStatus::Executing) && worked(JobStatus::Syncing));
    let back = active(JobStatus::Executing).requeue(time_at(210)).unwrap();
    assert!(back.claim(&claim(2, "c2"), time_at(220)).unwrap().worked, "a requeue does not undo work");
}

#[test]
fn requeue_clears_all_attempt_state_but_the_number() {
    let mut job = active(JobStatus::Syncing).record_container_stop("task-c1", crash_failure(), time_at(210)).unwrap();
    job.tries = 3;
    job.not_before = Some(time_at(300));
    let back = job.requeue(time_at(400)).unwrap();
    let expected = Job {
        status: JobStatus::Ready,
        ready_since: time_at(400),
        attempt: 1,
        worked: true,
        requeues: 1,
        lost_a_push: true,
        dispatch: Dispatch {
            number: 0,
            due: time_at(400),
            starting: false,
            task: None,
            dead: Vec::new(),
            orphan: None,
            fault: None,
            trace: None,
        },
        ..ready_job()
    };
    assert_eq!(back, expected);
    assert_eq!(back.requeue(time_at(410)), Err(TransitionRefusal::WrongStatus(JobStatus::Ready)));
    let second = back.claim(&claim(2, "c2"), time_at(420)).unwrap().requeue(time_at(430)).unwrap();
    assert_eq!((second.attempt, second.requeues), (2, 2));
}

#[test]
fn requeue_names_the_task_that_may_still_run() {
    let job = active(JobStatus::Preparing);
    let back = job.requeue(time_at(290)).unwrap();
    assert_eq!(back.dispatch.orphan.as_deref(), Some("task-c1"));
    assert_eq!(back.move_to(Placement::Runners, time_at(291)), Err(TransitionRefusal::WrongStatus(JobStatus::Ready)));
    let stopped = back.record_stopped_orphans().unwrap();
    assert_eq!(stopped, Job { dispatch: Dispatch { orphan: None, ..back.dispatch.clone() }, ..back.clone() });
    assert!(stopped.move_to(Placement::Runners, time_at(291)).is_ok());
    let failed = back.fail(crash_failure(), time_at(291)).unwrap();
    assert_eq!((failed.may_have_orphaned_task(), failed.last_tasks().next()), (true, Some("task-c1")));
    let stopped = job.record_container_stop("task-c1", crash_failure(), time_at(210)).unwrap();
    assert_eq!(stopped.requeue(time_at(290)).unwrap().dispatch.orphan, None);
}

#[test]
fn end_records_attempt_time_and_outcome() {
    let pushed =
        finish_by_runner(&active(JobStatus::Syncing), End::Failed(no_changes_failure(), Some(result())), time_at(210))
            .unwrap();
    assert_eq!((pushed.status, pushed.ended_at), (JobStatus::Failed, Some(time_at(210))));
    assert_eq!((pushed.failure.clone(), pushed.result.clone()), (Some(no_changes_failure()), Some(result())));
    let finish = Some(finish_id("f2"));
    assert_eq!(pushed.ended_by, Some(LastReport { attempt: 1, finish }));
    assert_eq!(pushed.attempt_end(), AttemptEnd::Failed { failure: no_changes_failure() });

    let done = finish_by_runner(&active(JobStatus::Syncing), End::Completed(Some(result())), time_at(210)).unwrap();
    assert_eq!((done.failure.clone(), done.result.clone()), (None, Some(result())));
    assert_eq!(done.attempt_end(), AttemptEnd::Completed {});

    let stopped = finish_by_runner(&active(JobStatus::Executing), End::Cancelled, time_at(210)).unwrap();
    assert_eq!((stopped.failure.clone(), stopped.result.clone()), (None, None));
    assert_eq!(stopped.attempt_end(), AttemptEnd::Cancelled {});

    let unclaimed = ready_job().fail(crash_failure(), time_at(210)).unwrap();
    assert_eq!(unclaimed.ended_by, Some(LastReport { attempt: 0, finish: None }));
    assert_eq!((unclaimed.failure, unclaimed.result), (Some(crash_failure()), None));
}

#[test]
fn stored_failures_are_clipped() {
    let long = || crate::text::failure::Failure::Unknown { last_words: "x".repeat(9_000) };
    let stored = |job: Job| serde_json::to_string(&job).unwrap().len();
    let small = stored(active(JobStatus::Syncing)) + 500;
    assert!(
        stored(finish_by_runner(&active(JobStatus::Syncing), End::Failed(long(), None), time_at(210)).unwrap()) < small
    );
    assert!(stored(ready_job().fail(long(), time_at(210)).unwrap()) < small);
    assert!(stored(active(JobStatus::Claimed).record_container_stop("task-c1", long(), time_at(210)).unwrap()) < small);
    let refused = DispatchFault::Refused { reason: "x".repeat(9_000), refusal: StartRefusal::Lasting };
    assert!(stored(job_with_start().record_start_fault(1, 1, refused, time_at(20)).unwrap()) < small);
    let died = DispatchFault::Died { reason: "x".repeat(9_000) };
    assert!(stored(job_with_start().record_start_fault(1, 1, died, time_at(20)).unwrap()) < small);
}

#[test]
fn task_death_is_recorded_only_for_the_holding_task() {
    let held = active(JobStatus::Executing);
    assert_eq!(
        held.record_container_stop("task-other", crash_failure(), time_at(210)),
        Err(TransitionRefusal::LeaseLost)
    );
    let noted = held.record_container_stop("task-c1", crash_failure(), time_at(210)).unwrap();
    let died = noted.run.clone().unwrap().died.unwrap();
    assert_eq!((died.at, died.failure), (time_at(210), crash_failure()));
    // A finish of the runner may still arrive and takes precedence.
    assert_eq!(
        finish_by_runner(&noted, End::Failed(no_changes_failure(), None), time_at(211)).unwrap().failure,
        Some(no_changes_failure())
    );
}

const SILENT_START: DispatchFault = DispatchFault::Silent;
const THROTTLED_START: DispatchFault = DispatchFault::Throttled;
const INTERRUPTED_START: DispatchFault = DispatchFault::Interrupted;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// ECS identifies a start by job, attempt and number, so two starts with one name would be one task.
    #[test]
    fn attempts_only_rise_and_start_names_are_unique(ways in prop::collection::vec((0..7u8, 0..400u64), 1..120)) {
        let mut job = ready_job();
        let mut now = time_at(0);
        let mut names = BTreeSet::new();
        for (way, secs) in ways {
            now = now.plus(Duration::from_secs(secs));
            let (n, d) = (job.attempt + 1, job.dispatch.number);
            let held = fence(&job, job.attempt, "c");
            let next = match way {
                0 | 1 => job.begin_dispatch(now),
                2 => job.record_start_fault(n, d, THROTTLED_START, now),
                3 => job.claim(&claim(n, "c"), now),
                4 => job.advance(&held, JobStatus::Preparing, now),
                5 => job.requeue(now),
                _ => job.set_task(n, d, "t"),
            };
            let Ok(next) = next else { continue };
            prop_assert!(next.attempt >= job.attempt && next.attempt <= job.attempt + 1);
            if next.dispatch.starting && !job.dispatch.starting {
                prop_assert!(names.insert((next.attempt + 1, next.dispatch.number)), "two tasks of one name");
            }
            job = next;
        }
    }
}

#[test]
fn reviews_come_from_the_revised_or_continued_pull_request() {
    let going_on = |job: Job| Job { continues: Some(ContinuedPullRequest { number: 7, branch: "b".into() }), ..job };
    let of = |number| Some(crate::fixtures::pull_request_id(number));
    assert_eq!((ready_job().pull_request(), ready_job().reviewed_pull_request()), (None, None));
    assert_eq!((going_on(ready_job()).pull_request(), going_on(ready_job()).reviewed_pull_request()), (None, of(7)));
    assert_eq!((going_on(pending()).pull_request(), going_on(pending()).reviewed_pull_request()), (of(231), of(231)));
}

#[test]
fn job_that_reports_completes_without_a_result_and_loses_no_push() {
    for kind in [JobKind::Read, JobKind::Review, JobKind::Analysis] {
        let reporting = Job { kind, ..active(JobStatus::Syncing) };
        let done = finish_by_runner(&reporting, End::Completed(None), time_at(210)).unwrap();
        assert_eq!((done.status, done.result), (JobStatus::Completed, None));
        assert!(!reporting.requeue(time_at(900)).unwrap().lost_a_push);
        assert!(!reporting.fail(crash_failure(), time_at(900)).unwrap().lost_a_push);
    }
}

#[test]
fn runners_get_only_kinds_that_their_protocol_knows() {
    let least = |kind| (1..=5).find(|protocol| Job { kind, ..ready_job() }.is_known_by(*protocol));
    let new = [JobKind::Read, JobKind::Review, JobKind::Resolve, JobKind::Analysis];
    assert_eq!([JobKind::Implement, JobKind::Revise].map(least), [Some(1), Some(1)]);
    assert_eq!(new.map(least), [Some(2), Some(3), Some(4), Some(4)]);
}
