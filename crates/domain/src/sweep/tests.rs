use super::*;
use crate::due::{self, Due};
use crate::fixtures::{
    active, awaiting_input_job, claim, crash_failure, finish, heartbeat_at, just_before, no_changes_failure,
    paused_job, pending, project, ready_job, result, runner, step_at, time_at,
};
use crate::job::JobKind;
use crate::job::{ContainerStop, DesiredState, Dispatch, End, JobPolicy, Priority, START_TIMEOUT};
use crate::runner::Presence;
use crate::text::Span;

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
    let reason = "it could not be started".into();
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

#[test]
fn attempt_is_silent_after_the_time_of_its_runner() {
    let mut job = heartbeat_at(&active(JobStatus::Executing), 1_000);
    let kite = Runner { last_heartbeat: time_at(1_600), offline_secs: Some(600), ..runner("kite") };
    let run = job.run.as_mut().unwrap();
    (run.runner, run.offline_secs) = (Some(kite.id.clone()), Some(600));
    let step = |runner: &Runner, since, now| {
        next_step(&job, Watch { since: time_at(since), runner: Some(runner), project: None }, time_at(now))
    };
    let ago = Span(630);
    let silent = JobStep::Fail(Failure::AttemptSilent { ago });
    assert_eq!((step(&kite, 0, 1_629), step(&kite, 0, 1_630)), (JobStep::Skip, silent.clone()));
    assert_eq!((step(&kite, 1_031, 1_630), step(&kite, 1_030, 1_630)), (JobStep::Skip, silent));
    let younger = Runner { last_heartbeat: time_at(1_599), ..kite };
    assert_eq!(step(&younger, 0, 1_630), JobStep::Skip, "the machine may have failed");
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

const NO_LABELS: BTreeSet<String> = BTreeSet::new();

#[track_caller]
fn check_waiting(secs: u64, settings: &Settings, expected: &WaitingStep) {
    let job = Job { place: Placement::Runners, ..ready_job() };
    assert_eq!(&next_waiting_step(&job, &NO_LABELS, settings, time_at(secs)), expected);
    let changes_job = !matches!(expected, WaitingStep::Skip | WaitingStep::Wake);
    for priority in Priority::ALL {
        let order = Job { priority, ..job.clone() }.order();
        assert!(!changes_job || may_need_waiting_step(order, &NO_LABELS, settings, time_at(secs)), "{priority:?}");
        let is_young = secs + 7_200 < settings.limits.unclaimed_secs && settings.compute == Compute::Runners;
        assert!(!is_young || !may_need_waiting_step(order, &NO_LABELS, settings, time_at(secs)), "{priority:?}");
    }
}

fn on(compute: Compute) -> Settings {
    Settings { compute, ..Settings::default() }
}

#[test]
fn runner_job_is_given_up_after_a_day_with_the_reason() {
    let day = 24 * 3_600;
    check_waiting(29, &on(Compute::Runners), &WaitingStep::Skip);
    check_waiting(30, &on(Compute::Runners), &WaitingStep::Wake);
    check_waiting(day - 1, &on(Compute::Runners), &WaitingStep::Wake);
    check_waiting(day, &on(Compute::Runners), &WaitingStep::Fail);
    check_waiting(day, &on(Compute::Fargate), &WaitingStep::Fail);
    for reason in ["No runner of acme is online; the last heartbeat was 24 h ago.", "No runner of acme is online."] {
        let sentence = unclaimed_failure(reason, &Limits::default()).sentence();
        assert_eq!(sentence, "The job was not started within 24 h: No runner of acme is online.");
    }
    let claimed = Job { place: Placement::Runners, ..active(JobStatus::Claimed) };
    assert_eq!(next_waiting_step(&claimed, &NO_LABELS, &on(Compute::Fargate), time_at(day)), WaitingStep::Skip);
    let on_fargate = next_waiting_step(&ready_job(), &NO_LABELS, &on(Compute::Runners), time_at(day));
    assert_eq!(on_fargate, WaitingStep::Skip, "not a job of runners");
}

#[test]
fn ready_job_is_given_up_after_the_projects_wait_limit() {
    let mut project = project();
    project.settings.compute = Compute::Runners;
    for (secs, text) in [(300, "5 min"), (604_800, "7 days")] {
        project.settings.limits.unclaimed_secs = secs;
        check_waiting(secs - 1, &project.settings, &WaitingStep::Wake);
        check_waiting(secs, &project.settings, &WaitingStep::Fail);
        let sentence = unclaimed_failure("No runner of acme is online.", &project.settings.limits).sentence();
        assert_eq!(sentence, format!("The job was not started within {text}: No runner of acme is online."));
        let step =
            |now| next_step(&ready_job(), Watch { since: time_at(0), runner: None, project: Some(&project) }, now);
        assert_eq!(step(time_at(secs - 1)), JobStep::Start);
        let JobStep::Fail(failure) = step(time_at(secs)) else { panic!("not given up after {secs} s") };
        assert_eq!(failure.sentence(), format!("The job was not started within {text}: it could not be started."));
    }
}

#[test]
fn waiting_job_follows_the_project_compute_after_a_minute() {
    check_waiting(29, &on(Compute::Fargate), &WaitingStep::Skip);
    check_waiting(59, &on(Compute::Fargate), &WaitingStep::Wake);
    check_waiting(60, &on(Compute::Fargate), &WaitingStep::Move(Placement::Fargate));
    check_waiting(60, &on(Compute::Runners), &WaitingStep::Wake);
    let job = ready_job();
    assert_eq!(required_place(&job, &NO_LABELS, &on(Compute::Runners), time_at(60)), Some(Placement::Runners));
    let starting = job.begin_dispatch(time_at(10)).unwrap();
    assert_eq!(
        required_place(&starting, &NO_LABELS, &on(Compute::Runners), time_at(100)),
        None,
        "a task may be on its way"
    );
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
fn unlabelled_job_overflows_once_after_the_projects_time() {
    let settings = |secs| Settings { overflow_after_secs: secs, ..on(Compute::RunnersThenFargate) };
    for secs in [60, 120, 3_600] {
        check_waiting(secs - 1, &settings(secs), &WaitingStep::Wake);
        check_waiting(secs, &settings(secs), &WaitingStep::Move(Placement::Fargate));
    }
    let job = Job { place: Placement::Runners, ..ready_job() };
    let gpu = BTreeSet::from(["gpu".to_owned()]);
    assert_eq!(
        next_waiting_step(&job, &gpu, &settings(60), time_at(80_000)),
        WaitingStep::Wake,
        "a task has no labels"
    );
    assert!(!may_need_waiting_step(job.order(), &gpu, &settings(60), time_at(70_000)));
    let moved = job.move_to(Placement::Fargate, time_at(120)).unwrap();
    assert_eq!(required_place(&moved, &NO_LABELS, &settings(60), time_at(80_000)), None, "it does not return");
    let requeued = Job { place: Placement::Fargate, ..active(JobStatus::Claimed) }.requeue(time_at(500)).unwrap();
    assert_eq!(required_place(&requeued, &NO_LABELS, &settings(60), time_at(80_000)), None);
    // A requeued job on runners has its full time again.
    let requeued = Job { place: Placement::Runners, ..active(JobStatus::Claimed) }.requeue(time_at(500)).unwrap();
    let place = |secs| required_place(&requeued, &NO_LABELS, &settings(60), time_at(secs));
    assert_eq!((place(559), place(560)), (None, Some(Placement::Fargate)));
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
    // A question has pushed nothing that another attempt could adopt.
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
