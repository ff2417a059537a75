use super::*;
use crate::agent::runner::Presence;
use crate::fixtures::{
    active, awaiting_input_job, claim, crash_failure, finish, heartbeat_at, just_before, key, no_changes_failure,
    paused_job, pending, ready_job, result, runner, step_at, time_at,
};
use crate::job::JobKind;
use crate::job::{ContainerStop, DesiredState, Dispatch, End, JobPolicy, START_TIMEOUT};
use crate::project::spending::{JobCharge, SpentOn};
use crate::run::due::{self, Due};
use crate::text::{Cause, Span};

#[track_caller]
fn check(job: &Job, due: Timestamp, expected: JobStep) {
    assert_eq!(step_at(job, just_before(due)), JobStep::Skip, "too early");
    assert_eq!(step_at(job, due), expected);
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
    dead.extend([JobStatus::Executing, JobStatus::Syncing].map(|status| heartbeat_at(&active(status), 3_700)));
    dead.push(Job { push_until: Some(time_at(9_000)), ..syncing.clone() });
    let starting = ready_job().begin_dispatch(time_at(10)).unwrap();
    let failed = starting.record_start_fault(1, 1, silent_start(), time_at(20)).unwrap();
    let back = syncing.requeue(time_at(400)).unwrap();
    let lost = active(JobStatus::Executing).fail(crash_failure(), time_at(400)).unwrap();
    let paused = Job { want: DesiredState::Pause, ..syncing.clone() }.requeue(time_at(400)).unwrap();
    let kept = with_orphan(syncing.clone());
    let others =
        [ready_job(), pending(), awaiting_input_job(), paused_job(), starting, failed, back, lost, paused, kept];
    for job in states.into_iter().chain(dead).chain(others) {
        let Some(Due::At(due)) = due::job(&job) else { panic!("a job that has not ended is not due: {job:#?}") };
        assert_eq!(step_at(&job, just_before(due)), JobStep::Skip, "too early: {job:#?}");
        for later in [0, 1, 61, 86_400] {
            let now = due.plus(Duration::from_secs(later));
            assert_ne!(step_at(&job, now), JobStep::Skip, "due without a step: {job:#?}");
        }
    }
    for end in [End::Completed(Some(result())), End::Failed(no_changes_failure(), None), End::Cancelled] {
        let ended = finish(&syncing, end);
        assert_eq!((due::job(&ended), step_at(&ended, time_at(1_000_000))), (None, JobStep::Skip));
    }
    let of_runners = Job { place: Placement::Runners, ..ready_job() };
    assert_eq!(step_at(&of_runners, time_at(1_000_000)), JobStep::Skip);
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
    let reason = "it could not be started".to_owned();
    let limit = Span(86_400);
    check(&job(86_399), time_at(86_399), JobStep::Start);
    check(&job(86_400), time_at(86_400), JobStep::Fail(Failure::NeverClaimed { limit, why: Cause(reason) }));
    // A requeued job has another day.
    let mut back = active(JobStatus::Claimed).requeue(time_at(80_000)).unwrap();
    back.dispatch.due = time_at(90_000);
    check(&back, time_at(90_000), JobStep::Start);
}

#[test]
fn job_beyond_its_time_limit_is_given_up() {
    for status in [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        check(&heartbeat_at(&active(status), 3_700), time_at(3_760), JobStep::Fail(time_limit()));
    }
    let mut short = active(JobStatus::Executing);
    short.policy.wall_secs = 60;
    check(&short, time_at(220), JobStep::Fail(Failure::TimeLimit { limit: Span(60) }));
}

#[test]
fn orphaned_task_is_stopped_until_its_stop_is_recorded() {
    let lost = active(JobStatus::Executing).fail(crash_failure(), time_at(400)).unwrap();
    let paused = Job { want: DesiredState::Pause, ..active(JobStatus::Executing) }.requeue(time_at(400)).unwrap();
    for job in [lost, paused] {
        check(&job, time_at(400), JobStep::StopTask);
        assert_eq!(step_at(&job.record_stopped_orphans().unwrap(), time_at(400)), JobStep::Skip);
    }
}

fn with_orphan(job: Job) -> Job {
    let dispatch = Dispatch { orphan: Some("task-c0".into()), ..job.dispatch };
    Job { dispatch, ..job }
}

#[test]
fn orphan_that_is_not_stopped_delays_no_other_step() {
    let executing = with_orphan(heartbeat_at(&active(JobStatus::Executing), 1_000));
    check(&executing, time_at(1_120), JobStep::Fail(silent()));
    let paused = with_orphan(paused_job());
    assert_eq!(step_at(&paused, paused.suspended_until().unwrap()), JobStep::Expire);
    // Older versions moved a job with its orphan.
    let moved = with_orphan(Job { place: Placement::Runners, ..ready_job() });
    assert!(matches!(due::job(&moved), Some(Due::Ready { .. })));
    assert_eq!(step_at(&moved, time_at(1_000)), JobStep::Skip);
    assert!(moved.move_to(Placement::Fargate, time_at(1_000)).is_ok());
}

fn silent() -> Failure {
    Failure::AttemptSilent { ago: Span(120) }
}

#[test]
fn silent_attempt_ends_by_the_policy_of_its_project() {
    for status in [JobStatus::Claimed, JobStatus::Preparing] {
        check(&heartbeat_at(&active(status), 1_000), time_at(1_120), JobStep::Requeue(silent()));
    }
    let executing = heartbeat_at(&active(JobStatus::Executing), 1_000);
    check(&executing, time_at(1_120), JobStep::Fail(silent()));
    check(&with_policy(OfflinePolicy::Requeue, 1, &executing), time_at(1_120), JobStep::Requeue(silent()));
    check(&with_policy(OfflinePolicy::Requeue, 0, &executing), time_at(1_120), JobStep::Fail(silent()));
    // Without a stored heartbeat, the claim counts.
    check(&active(JobStatus::Claimed), time_at(220), JobStep::Requeue(silent()));
}

#[test]
fn silent_attempt_that_may_push_is_spared() {
    let ago = Span(120);
    check(&active(JobStatus::Syncing), time_at(320), JobStep::Requeue(Failure::AttemptSilent { ago }));
}

#[test]
fn attempt_gets_its_full_time_after_a_pause_of_the_sweeper() {
    let job = heartbeat_at(&active(JobStatus::Executing), 1_000);
    let step = |since, now| next_step(&job, Watch { since: time_at(since), runner: None, project: None }, time_at(now));
    // Without a pause: 120 s after the stored heartbeat.
    assert_eq!((step(1_000, 1_119), step(1_000, 1_120)), (JobStep::Skip, JobStep::Fail(silent())));
    // The longest pause that is no interruption: the write of its last call, at 1,029 s, was stale.
    assert_eq!(step(0, 1_029 + 65 + 10), JobStep::Skip);
    // The machine slept for two hours, longer than the time limit. The sweeper woke up first.
    assert_eq!((step(8_200, 8_200), step(8_200, 8_289)), (JobStep::Skip, JobStep::Skip));
    let ago = Span(7_290);
    assert_eq!(step(8_200, 8_290), JobStep::Fail(Failure::AttemptSilent { ago }));
    let woken = job.record_heartbeat(&crate::fixtures::fence(&job, 1, "c1"), time_at(8_205)).unwrap();
    let step = |now| next_step(&woken, Watch { since: time_at(8_200), runner: None, project: None }, time_at(now));
    assert_eq!((step(8_324), step(8_325)), (JobStep::Skip, JobStep::Fail(silent())));
    // It had 800 s of its hour, and the silence of 7,205 s does not count.
    let spoke = heartbeat_at(&woken, 10_960);
    let step = |now| next_step(&spoke, Watch { since: time_at(8_200), runner: None, project: None }, time_at(now));
    assert_eq!((step(10_964), step(10_965)), (JobStep::Skip, JobStep::Fail(time_limit())));
}

#[test]
fn attempt_is_silent_only_if_its_runner_is_online() {
    let mut job = heartbeat_at(&active(JobStatus::Executing), 1_000);
    let kite = |secs, status| Runner { last_heartbeat: time_at(secs), status, ..runner("kite") };
    job.run.as_mut().unwrap().runner = Some(runner("kite").id);
    let step = |runner: Option<Runner>, now| {
        next_step(&job, Watch { since: time_at(0), runner: runner.as_ref(), project: None }, time_at(now))
    };
    let ago = Span(125);
    assert_eq!(step(Some(kite(1_090, Presence::Online)), 1_125), JobStep::Fail(Failure::AttemptSilent { ago }));
    assert_eq!(step(Some(kite(1_089, Presence::Online)), 1_125), JobStep::Skip, "the machine may have failed");
    assert_eq!(step(Some(kite(1_125, Presence::Offline)), 1_125), JobStep::Skip, "the sweep of runners decides");
    // The runner's machine was suspended, and the runner spoke first.
    let woken = |secs| Runner { steady_since: Some(time_at(1_300)), ..kite(secs, Presence::Online) };
    assert_eq!(step(Some(woken(1_389)), 1_390), JobStep::Skip);
    let ago = Span(390);
    assert_eq!(step(Some(woken(1_390)), 1_390), JobStep::Fail(Failure::AttemptSilent { ago }));
    assert_eq!(step(None, 1_125), JobStep::Skip);
    assert_eq!(step(None, 3_760), JobStep::Fail(time_limit()), "no job runs forever");
}

/// The step at `now` for an executing attempt of `kite`, whose limit ends at 3,760 s.
fn step_with_runner(heartbeat: u64, kite: &Runner, now: u64) -> JobStep {
    let mut job = heartbeat_at(&active(JobStatus::Executing), heartbeat);
    job.run.as_mut().unwrap().runner = Some(kite.id.clone());
    next_step(&job, Watch { since: time_at(0), runner: Some(kite), project: None }, time_at(now))
}

#[test]
fn attempt_on_a_suspended_machine_is_spared() {
    let kite = |last| Runner { last_heartbeat: time_at(last), offline_secs: Some(600), ..runner("kite") };
    // Both are silent since 3,600 s, for 300 s and for 900 s: neither the silence nor the time limit ends the attempt.
    for now in [3_720, 3_759, 3_760, 3_900, 4_200, 4_500] {
        assert_eq!(step_with_runner(3_600, &kite(3_600), now), JobStep::Skip, "{now}");
    }
    // The machine woke up, and the runner spoke first.
    let woken = |last| Runner { steady_since: Some(time_at(3_900)), ..kite(last) };
    assert_eq!(step_with_runner(3_600, &woken(3_900), 3_905), JobStep::Skip);
    assert_eq!(step_with_runner(3_600, &woken(3_985), 3_985), JobStep::Skip);
    assert_ne!(step_with_runner(3_600, &woken(3_990), 3_990), JobStep::Skip, "its process has ended");
    // Its storm is spared, and afterwards it lost its jobs.
    let lost = Runner { status: Presence::Offline, spared_until: Some(time_at(4_800)), ..kite(3_600) };
    assert_eq!(step_with_runner(3_600, &lost, 4_799), JobStep::Skip);
    assert_eq!(step_with_runner(3_600, &lost, 4_800), JobStep::Fail(time_limit()));
    // An attempt that sends heartbeats has its usual limit.
    assert_eq!(step_with_runner(3_759, &kite(3_759), 3_760), JobStep::Fail(time_limit()));
    assert_eq!(step_with_runner(3_759, &kite(3_000), 3_760), JobStep::Fail(time_limit()), "only the runner is silent");
}

#[test]
fn dead_attempt_ends_at_the_usual_time_on_any_runner() {
    for offline_secs in [None, Some(600), Some(3_600)] {
        let kite = |last| Runner { last_heartbeat: time_at(last), offline_secs, ..runner("kite") };
        assert_eq!(step_with_runner(1_000, &kite(1_115), 1_119), JobStep::Skip);
        assert_eq!(step_with_runner(1_000, &kite(1_115), 1_120), JobStep::Fail(silent()));
        assert_eq!(step_with_runner(1_000, &kite(1_090), 1_200), JobStep::Skip, "the runner is silent as well");
    }
}

#[test]
fn stopped_task_counts_more_than_silence() {
    let dead = job_with_stopped_task(&active(JobStatus::Executing), crash_failure(), 280);
    check(&dead, time_at(295), JobStep::Fail(crash_failure()));
    assert_eq!(step_at(&dead, time_at(3_759)), JobStep::Fail(crash_failure()));
    assert_eq!(step_at(&dead, time_at(3_760)), JobStep::Fail(time_limit()));
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
fn lost_attempt_fails_if_it_used_the_rest_of_the_reservation() {
    let charged = |lost_usd_micros| {
        let (usd_micros, attempt_usd_micros) = (Some(45_000_000), Some(22_500_000));
        Some(JobCharge { of: SpentOn::Ticket(key()), usd_micros, attempt_usd_micros, lost_usd_micros })
    };
    let step = |status, lost_usd_micros, lost_a_push| {
        let job = Job { charged: charged(lost_usd_micros), lost_a_push, ..active(status) };
        let dead = job_with_stopped_task(&with_policy(OfflinePolicy::Requeue, 2, &job), crash_failure(), 210);
        step_at(&dead, time_at(320))
    };
    let requeued = JobStep::Requeue(crash_failure());
    assert_eq!(step(JobStatus::Executing, 0, false), requeued);
    let JobStep::Fail(failure) = step(JobStatus::Executing, 22_500_000, false) else { panic!("requeued") };
    let sentence = "The job spent up to $45.00 of $45.00, which was the rest of the limit of APP-17.";
    assert_eq!((failure.code(), failure.sentence().as_str()), ("ticket_limit", sentence));
    assert_eq!(step(JobStatus::Preparing, 22_500_000, false), requeued, "no agent has worked");
    // The next attempt adopts a push before its agent starts.
    assert_eq!(step(JobStatus::Syncing, 22_500_000, false), requeued);
    assert_eq!(step(JobStatus::Executing, 22_500_000, true), requeued);
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
fn spot_interruption_requeues_up_to_the_limit() {
    let interrupted = || Failure::SpotInterrupted {};
    let after = |job: &Job| {
        let mut job = job.clone();
        job.policy.offline = OfflinePolicy::Fail;
        if let Some(run) = &mut job.run {
            run.died = Some(ContainerStop { at: time_at(500), failure: interrupted() });
        }
        step_at(&job, time_at(900))
    };
    for status in [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        assert_eq!(after(&active(status)), JobStep::Requeue(interrupted()), "{status:?}");
        assert_eq!(after(&Job { requeues: 2, ..active(status) }), JobStep::Fail(interrupted()), "{status:?}");
    }
}

#[test]
fn lost_runner_follows_the_policy_only_during_agent_work() {
    let offline = || Failure::RunnerOffline { runner: "kite".into(), ago: Span(91) };
    let requeue = |job: Job| Job { policy: JobPolicy { offline: OfflinePolicy::Requeue, ..job.policy }, ..job };
    let judged = |job: &Job| step_after_runner_loss(job, offline(), time_at(1_000));
    assert_eq!(judged(&active(JobStatus::Claimed)), JobStep::Requeue(offline()));
    assert_eq!(judged(&active(JobStatus::Preparing)), JobStep::Requeue(offline()));
    assert_eq!(judged(&active(JobStatus::Executing)), JobStep::Fail(offline()));
    assert_eq!(judged(&requeue(active(JobStatus::Executing))), JobStep::Requeue(offline()));
    assert_eq!(judged(&active(JobStatus::Syncing)), JobStep::Requeue(offline()));
    // A job that answers a question pushes no commit that another attempt could adopt.
    let question = Job { kind: JobKind::Read, ..active(JobStatus::Syncing) };
    assert_eq!(judged(&question), JobStep::Fail(offline()));
    assert_eq!(judged(&requeue(question)), JobStep::Requeue(offline()));
    let worn_out = Job { requeues: 2, ..active(JobStatus::Claimed) };
    assert_eq!(judged(&worn_out), JobStep::Fail(offline()));
    assert_eq!(
        step_after_runner_loss(&active(JobStatus::Syncing), offline(), time_at(319)),
        JobStep::Skip,
        "it may be pushing"
    );
    assert_eq!(
        step_after_runner_loss(&active(JobStatus::Syncing), offline(), time_at(320)),
        JobStep::Requeue(offline())
    );
    assert_eq!(judged(&ready_job()), JobStep::Skip);
}
