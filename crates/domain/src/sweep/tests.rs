use super::*;
use crate::due::{self, Due};
use crate::fixtures::{
    active, awaiting_input_job, claim, crash_failure, finish, just_before, no_changes_failure, paused_job, pending,
    ready_job, result, time_at,
};
use crate::job::{ContainerStop, End, JobPolicy, START_TIMEOUT};

#[track_caller]
fn check(job: &Job, due: Timestamp, expected: JobStep) {
    assert_eq!(next_step(job, just_before(due)), JobStep::Skip, "too early");
    assert_eq!(next_step(job, due), expected);
}

#[test]
fn job_is_due_exactly_when_it_needs_a_sweeper_step() {
    let syncing = active(JobStatus::Syncing);
    let states = [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing].map(active);
    let mut dead = states.clone().map(|job| job_with_stopped_task(&job, crash_failure(), 210)).to_vec();
    dead.extend([
        job_with_stopped_task(&active(JobStatus::Executing), crash_failure(), 3_755),
        job_with_stopped_task(&syncing, crash_failure(), 310),
    ]);
    dead.push(Job { push_until: Some(time_at(9_000)), ..syncing.clone() });
    let starting = ready_job().begin_dispatch(time_at(10)).unwrap();
    let failed = starting.record_start_fault(1, 1, silent_start(), time_at(20)).unwrap();
    let back = syncing.requeue(time_at(400)).unwrap();
    let others = [ready_job(), pending(), awaiting_input_job(), paused_job(), starting, failed, back];
    for job in states.into_iter().chain(dead).chain(others) {
        let Some(Due::At(due)) = due::job(&job) else { panic!("a job that has not ended is not due: {job:#?}") };
        assert_eq!(next_step(&job, just_before(due)), JobStep::Skip, "too early: {job:#?}");
        for later in [0, 1, 61, 86_400] {
            let now = due.plus(Duration::from_secs(later));
            assert_ne!(next_step(&job, now), JobStep::Skip, "due without a step: {job:#?}");
        }
    }
    for end in [End::Completed(result()), End::Failed(no_changes_failure(), None), End::Cancelled] {
        let ended = finish(&syncing, end);
        assert_eq!((due::job(&ended), next_step(&ended, time_at(1_000_000))), (None, JobStep::Skip));
    }
    let of_runners = Job { place: Placement::Runners, ..ready_job() };
    assert_eq!(next_step(&of_runners, time_at(1_000_000)), JobStep::Skip);
}

fn silent_start() -> DispatchFault {
    DispatchFault::Silent
}

fn job_with_stopped_task(job: &Job, failure: Failure, secs: u64) -> Job {
    job.record_container_stop("task-c1", failure, time_at(secs)).unwrap()
}

fn time_limit() -> Failure {
    Failure::TimeLimit { limit: Span(3_600) }
}

fn with_policy(offline: OfflinePolicy, requeues: u32, job: &Job) -> Job {
    let mut job = job.clone();
    job.policy.offline = offline;
    job.policy.requeues = requeues;
    job
}

#[test]
fn job_with_a_lost_wake_up_is_started_or_admitted() {
    check(&pending(), time_at(30), JobStep::Admit);
    check(&Job { place: Placement::Runners, ..pending() }, time_at(30), JobStep::Admit);
    let starting = ready_job().begin_dispatch(time_at(10)).unwrap();
    check(&starting, time_at(10).plus(START_TIMEOUT), JobStep::Restart(silent_start()));
    check(&ready_job(), time_at(60), JobStep::Start);
    check(&active(JobStatus::Claimed).requeue(time_at(200)).unwrap(), time_at(200), JobStep::Start);
}

#[test]
fn job_that_cannot_start_is_given_up_after_a_day() {
    let job = |due: u64| {
        let mut job = ready_job();
        job.dispatch.due = time_at(due);
        job
    };
    let reason = "no container could be started for it".into();
    let limit = Span(86_400);
    check(&job(86_399), time_at(86_399), JobStep::Start);
    check(&job(86_400), time_at(86_400), JobStep::Fail(Failure::NeverClaimed { limit, why: reason }));
    // A requeued job has another day.
    let mut back = active(JobStatus::Claimed).requeue(time_at(80_000)).unwrap();
    back.dispatch.due = time_at(90_000);
    check(&back, time_at(90_000), JobStep::Start);
}

#[test]
fn job_beyond_its_time_limit_is_given_up() {
    for status in [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        check(&active(status), time_at(3_760), JobStep::Fail(time_limit()));
    }
    let mut short = active(JobStatus::Executing);
    short.policy.wall_secs = 60;
    check(&short, time_at(220), JobStep::Fail(Failure::TimeLimit { limit: Span(60) }));
}

#[test]
fn death_before_agent_work_requeues_up_to_the_limit() {
    for status in [JobStatus::Claimed, JobStatus::Preparing] {
        for offline in [OfflinePolicy::Fail, OfflinePolicy::Requeue] {
            let dead = job_with_stopped_task(&active(status), crash_failure(), 210);
            check(&with_policy(offline, 1, &dead), time_at(225), JobStep::Requeue(crash_failure()));
            check(&with_policy(offline, 0, &dead), time_at(225), JobStep::Fail(crash_failure()));
        }
    }
    let once = active(JobStatus::Claimed).requeue(time_at(200)).unwrap();
    let twice = once.claim(&claim(2, "c1"), time_at(300)).unwrap();
    let dead = job_with_stopped_task(&twice, crash_failure(), 310);
    check(&with_policy(OfflinePolicy::Fail, 2, &dead), time_at(325), JobStep::Requeue(crash_failure()));
    check(&with_policy(OfflinePolicy::Fail, 1, &dead), time_at(325), JobStep::Fail(crash_failure()));
}

#[test]
fn death_during_agent_work_follows_the_project_policy() {
    let dead = job_with_stopped_task(&active(JobStatus::Executing), crash_failure(), 210);
    check(&with_policy(OfflinePolicy::Fail, 2, &dead), time_at(225), JobStep::Fail(crash_failure()));
    check(&with_policy(OfflinePolicy::Requeue, 2, &dead), time_at(225), JobStep::Requeue(crash_failure()));
    check(&with_policy(OfflinePolicy::Requeue, 0, &dead), time_at(225), JobStep::Fail(crash_failure()));
}

#[test]
fn death_during_a_push_requeues_up_to_the_limit() {
    let dead = job_with_stopped_task(&active(JobStatus::Syncing), crash_failure(), 210);
    for offline in [OfflinePolicy::Fail, OfflinePolicy::Requeue] {
        check(&with_policy(offline, 1, &dead), time_at(320), JobStep::Requeue(crash_failure()));
        check(&with_policy(offline, 0, &dead), time_at(320), JobStep::Fail(crash_failure()));
    }
}

#[test]
fn death_without_a_platform_fault_never_requeues() {
    let dead = job_with_stopped_task(&active(JobStatus::Claimed), no_changes_failure(), 210);
    check(&with_policy(OfflinePolicy::Requeue, 2, &dead), time_at(225), JobStep::Fail(no_changes_failure()));
}

#[test]
fn suspended_job_expires_after_a_week() {
    let until = time_at(250 + 7 * 86_400);
    for job in [awaiting_input_job(), paused_job()] {
        check(&job, just_before(until), JobStep::Skip);
        check(&job, until, JobStep::Expire);
    }
}

#[test]
fn failed_items_back_off_from_a_minute_to_an_hour() {
    let waits: Vec<_> = (0..9).map(|tries| back_off(tries).as_secs() / 60).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(back_off(u32::MAX), Duration::from_secs(3_600));
}

#[track_caller]
fn check_waiting(secs: u64, compute: Compute, expected: &WaitingStep) {
    let job = Job { place: Placement::Runners, ..ready_job() };
    assert_eq!(&next_waiting_step(&job, compute, time_at(secs)), expected);
}

#[test]
fn runner_job_is_given_up_after_a_day_with_the_reason() {
    let day = 24 * 3_600;
    check_waiting(day - 1, Compute::Runners, &WaitingStep::Skip);
    check_waiting(day, Compute::Runners, &WaitingStep::Fail);
    check_waiting(day, Compute::Fargate, &WaitingStep::Fail);
    for reason in ["No runner of acme is online; the last heartbeat was 24 h ago.", "No runner of acme is online."] {
        let sentence = unclaimed_failure(reason).sentence();
        assert_eq!(sentence, "The job was not started within 24 h: No runner of acme is online.");
    }
    let claimed = Job { place: Placement::Runners, ..active(JobStatus::Claimed) };
    assert_eq!(next_waiting_step(&claimed, Compute::Fargate, time_at(day)), WaitingStep::Skip);
    let on_fargate = next_waiting_step(&ready_job(), Compute::Runners, time_at(day));
    assert_eq!(on_fargate, WaitingStep::Skip, "not a job of runners");
}

#[test]
fn waiting_job_follows_the_project_compute_after_a_minute() {
    check_waiting(59, Compute::Fargate, &WaitingStep::Skip);
    check_waiting(60, Compute::Fargate, &WaitingStep::Move(Placement::Fargate));
    check_waiting(60, Compute::Runners, &WaitingStep::Skip);
    let job = ready_job();
    assert_eq!(required_place(&job, Compute::Runners, time_at(60)), Some(Placement::Runners));
    let starting = job.begin_dispatch(time_at(10)).unwrap();
    assert_eq!(required_place(&starting, Compute::Runners, time_at(100)), None, "a task may be on its way");
    let moved = job.move_to(Placement::Runners, time_at(60)).unwrap();
    assert_eq!((moved.place, moved.status, moved.ready_since), (Placement::Runners, JobStatus::Ready, job.ready_since));
    assert!(
        moved.move_to(Placement::Runners, time_at(61)).is_err()
            && starting.move_to(Placement::Runners, time_at(61)).is_err()
    );
    let back = moved.move_to(Placement::Fargate, time_at(70)).unwrap();
    assert_eq!((back.place, back.dispatch.due), (Placement::Fargate, time_at(70)));
}

#[test]
fn spot_interruption_requeues_up_to_the_limit() {
    let interrupted = || Failure::SpotInterrupted {};
    let after = |job: &Job| {
        let mut job = job.clone();
        job.policy.offline = OfflinePolicy::Fail;
        if let Some(run) = &mut job.run {
            run.died = Some(ContainerStop { at: time_at(500), failure: interrupted() });
        }
        next_step(&job, time_at(900))
    };
    for status in [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        assert_eq!(after(&active(status)), JobStep::Requeue(interrupted()), "{status:?}");
        assert_eq!(after(&Job { requeues: 2, ..active(status) }), JobStep::Fail(interrupted()), "{status:?}");
    }
}

#[test]
fn lost_runner_follows_the_policy_only_during_agent_work() {
    let silent = || Failure::RunnerOffline { runner: "kite".into(), ago: Span(91) };
    let requeue = |job: Job| Job { policy: JobPolicy { offline: OfflinePolicy::Requeue, ..job.policy }, ..job };
    let judged = |job: &Job| step_after_runner_loss(job, silent(), time_at(1_000));
    assert_eq!(judged(&active(JobStatus::Claimed)), JobStep::Requeue(silent()));
    assert_eq!(judged(&active(JobStatus::Preparing)), JobStep::Requeue(silent()));
    assert_eq!(judged(&active(JobStatus::Executing)), JobStep::Fail(silent()));
    assert_eq!(judged(&requeue(active(JobStatus::Executing))), JobStep::Requeue(silent()));
    assert_eq!(judged(&active(JobStatus::Syncing)), JobStep::Requeue(silent()));
    let worn_out = Job { requeues: 2, ..active(JobStatus::Claimed) };
    assert_eq!(judged(&worn_out), JobStep::Fail(silent()));
    assert_eq!(
        step_after_runner_loss(&active(JobStatus::Syncing), silent(), time_at(319)),
        JobStep::Skip,
        "it may be pushing"
    );
    assert_eq!(step_after_runner_loss(&active(JobStatus::Syncing), silent(), time_at(320)), JobStep::Requeue(silent()));
    assert_eq!(judged(&ready_job()), JobStep::Skip);
}
