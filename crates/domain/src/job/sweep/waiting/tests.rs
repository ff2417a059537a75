use super::*;
use crate::agent::breaker::{Account, AccountFault, AttemptRef, BreakerCause, BreakerId};
use crate::fixtures::{active, job_id, project, project_id, ready_job, time_at};
use crate::job::sweep::{JobStep, Watch, next_step};
use crate::job::{ModelWait, Priority};
use crate::text::Advice;
use std::collections::BTreeSet;

const DAY: u64 = 86_400;

fn needs(key: KeyOwner, labels: &[&str]) -> ClassRequirements {
    let labels = labels.iter().map(|label| label.to_string()).collect::<BTreeSet<_>>();
    ClassRequirements { capability: "codex".into(), labels, key }
}

fn facts<'a>(settings: &'a Settings, requirements: &'a ClassRequirements) -> ClassFacts<'a> {
    ClassFacts { requirements, settings, breakers: &[], on_one_machine: false }
}

/// Ready since 0 s.
fn job() -> Job {
    Job { place: Placement::Runners, ..ready_job() }
}

#[track_caller]
fn check(secs: u64, settings: &Settings, expected: WaitingStep) {
    let needs = needs(KeyOwner::Project, &[]);
    let facts = facts(settings, &needs);
    let (job, now) = (job(), time_at(secs));
    assert_eq!(facts.next_step(&job, now), expected, "{secs}");
    let changes_job = !matches!(expected, WaitingStep::Skip | WaitingStep::Wake);
    for priority in Priority::ALL {
        let order = Timestamp::from_millis(Job { priority, ..job.clone() }.order());
        assert!(!changes_job || facts.may_need_step(&project_id(), order, now), "{priority:?}");
        let reads_all = settings.compute != Compute::Runners;
        assert!(!reads_all || facts.may_need_step(&project_id(), order, now), "{priority:?}");
        let is_young = secs + 7_200 < settings.limits.unclaimed_secs && !reads_all;
        assert!(!is_young || !facts.may_need_step(&project_id(), order, now), "{priority:?}");
    }
}

fn on(compute: Compute) -> Settings {
    Settings { compute, ..Settings::default() }
}

fn overflow(secs: u64) -> Settings {
    Settings { overflow_after_secs: secs, ..on(Compute::RunnersThenFargate) }
}

fn sentence(wait: Option<&Wait>, limits: &Limits) -> String {
    unclaimed_failure(wait, limits).sentence()
}

#[test]
fn runner_job_is_given_up_after_a_day_with_the_reason() {
    check(29, &on(Compute::Runners), WaitingStep::Skip);
    check(30, &on(Compute::Runners), WaitingStep::Wake);
    check(DAY - 1, &on(Compute::Runners), WaitingStep::Wake);
    check(DAY, &on(Compute::Runners), WaitingStep::Fail);
    check(DAY, &on(Compute::Fargate), WaitingStep::Fail);
    let needs = needs(KeyOwner::Project, &[]);
    let settings = on(Compute::Runners);
    let step = |job: &Job| facts(&settings, &needs).next_step(job, time_at(DAY));
    assert_eq!(step(&Job { place: Placement::Runners, ..active(JobStatus::Claimed) }), WaitingStep::Skip);
    assert_eq!(step(&ready_job()), WaitingStep::Skip, "not a job of runners");
}

#[test]
fn failure_names_the_obstacle_without_the_moment() {
    let (project, limits) = (project_id(), Limits::default());
    let offline = Wait::NoOnlineRunner { project: project.clone(), ago: crate::text::Span(86_400) };
    let labels = (0..10).map(|n| format!("label{n}")).collect::<Vec<_>>().join(", ");
    let no_label =
        Wait::NoLabel { labels: Cause(labels.clone()), origin: "the setting `labels`".into(), all: Advice("x".into()) };
    let soon = Wait::OverflowSoon { reason: Cause(offline.sentence()), time: time_at(9), help: Advice("Wait.".into()) };
    for (wait, why) in [
        (Some(&offline), "No runner of acme is online"),
        (Some(&soon), "No runner of acme is online"),
        (Some(&Wait::NoRunner { project }), "No runner is registered for acme"),
        (Some(&no_label), &*format!("No online runner with the job's agent has {labels} (from the setting `labels`)")),
        (Some(&Wait::FargateThrottled { next: time_at(9) }), "AWS is throttling task starts"),
        (Some(&Wait::StartingNow { ago: crate::text::Span(9) }), "it could not be started"),
        (None, "it could not be started"),
    ] {
        assert_eq!(sentence(wait, &limits), format!("The job was not started within 24 h: {why}."));
    }
}

#[test]
fn ready_job_is_given_up_after_the_projects_wait_limit() {
    let mut project = project();
    project.settings.compute = Compute::Runners;
    for (secs, text) in [(900, "15 min"), (604_800, "7 days")] {
        project.settings.limits.unclaimed_secs = secs;
        check(secs - 1, &project.settings, WaitingStep::Wake);
        check(secs, &project.settings, WaitingStep::Fail);
        let step = |job: &Job, now| {
            next_step(job, Watch { since: time_at(0), runner: None, project: Some(&project) }, time_at(now))
        };
        assert_eq!(step(&ready_job(), secs - 1), JobStep::Start);
        let JobStep::Fail(failure) = step(&ready_job(), secs) else { panic!("not given up after {secs} s") };
        assert_eq!(failure.sentence(), format!("The job was not started within {text}: it could not be started."));
        // A task may be on its way.
        let starting = ready_job().begin_dispatch(time_at(secs - 100)).unwrap();
        assert!(matches!(step(&starting, secs + 200), JobStep::Restart(_)));
    }
}

fn model_wait(since: u64, until: u64) -> Option<ModelWait> {
    let (cause, capability) = (BreakerCause::LimitReached, "codex".into());
    Some(ModelWait { cause, capability, until: time_at(until), since: time_at(since), times: 1 })
}

fn breaker(account: Account, until: u64) -> Breaker {
    let id = BreakerId { account, capability: "codex".into() };
    let fault = AccountFault { cause: BreakerCause::LimitReached, ends_at: Some(time_at(until)) };
    Breaker::record_fault(None, &id, &fault, &AttemptRef { job: job_id("x"), attempt: 1 }, time_at(0)).unwrap()
}

#[test]
fn wait_for_the_model_does_not_count() {
    let mut settings = on(Compute::Runners);
    settings.limits.unclaimed_secs = 900;
    let key = needs(KeyOwner::Project, &[]);
    let waiting = Job { model: model_wait(0, 3_600), ..job() };
    let step = |job: &Job, breakers: &[Breaker], secs| {
        ClassFacts { breakers, ..facts(&settings, &key) }.next_step(job, time_at(secs))
    };
    for secs in [900, 3_599, 4_499] {
        assert_eq!(step(&waiting, &[], secs), WaitingStep::Wake, "{secs}");
    }
    assert_eq!(step(&waiting, &[], 4_500), WaitingStep::Fail);
    // The same for the project's breaker, before and after its end, but for no other.
    let open = breaker(Account::Project(project_id()), 3_600);
    let start = 3_600 + 600;
    for secs in [900, start - 1, start + 899] {
        assert_eq!(step(&job(), std::slice::from_ref(&open), secs), WaitingStep::Wake, "{secs}");
    }
    assert_eq!(step(&job(), std::slice::from_ref(&open), start + 900), WaitingStep::Fail);
    // Closed early, it stays stored for as long as a job may wait, and the job's time begins with its end.
    let closed = open.close(time_at(2_000));
    assert_eq!(step(&job(), std::slice::from_ref(&closed), 2_899), WaitingStep::Wake);
    assert_eq!(step(&job(), std::slice::from_ref(&closed), 2_900), WaitingStep::Fail);
    assert!(closed.expires_at() >= time_at(1_400 + 7 * DAY) && closed.is_over(time_at(2_000)));
    let other = breaker(Account::Project(crate::text::id::ProjectId::new("other").unwrap()), 3_600);
    assert_eq!(step(&job(), &[other], 900), WaitingStep::Fail);
    // A day is the longest wait.
    let endless = Job { model: model_wait(0, 10 * DAY), ..job() };
    assert_eq!(
        (step(&endless, &[], DAY + 899), step(&endless, &[], DAY + 900)),
        (WaitingStep::Wake, WaitingStep::Fail)
    );
    let on_task = Job { place: Placement::Fargate, ..waiting };
    let project = crate::project::Project { settings: settings.clone(), ..project() };
    let step =
        |secs| next_step(&on_task, Watch { since: time_at(0), runner: None, project: Some(&project) }, time_at(secs));
    assert_eq!(step(4_499), JobStep::Start);
    assert!(matches!(step(4_500), JobStep::Fail(_)));
}

#[test]
fn waiting_job_follows_the_project_compute_after_a_minute() {
    check(29, &on(Compute::Fargate), WaitingStep::Skip);
    check(59, &on(Compute::Fargate), WaitingStep::Wake);
    check(60, &on(Compute::Fargate), WaitingStep::Move(Placement::Fargate));
    check(60, &on(Compute::Runners), WaitingStep::Wake);
    let job = ready_job();
    assert_eq!(required_place(&job, &on(Compute::Runners), time_at(60)), Some(Placement::Runners));
    let mut with_token = Job { place: Placement::Runners, ..job.clone() };
    assert_eq!(required_place(&with_token, &on(Compute::Fargate), time_at(60)), Some(Placement::Fargate));
    with_token.policy.uses_runner_token = true;
    assert_eq!(required_place(&with_token, &on(Compute::Fargate), time_at(60)), None);
    let starting = job.begin_dispatch(time_at(10)).unwrap();
    assert_eq!(required_place(&starting, &on(Compute::Runners), time_at(100)), None, "a task may be on its way");
    let moved = job.move_to(Placement::Runners, time_at(60)).unwrap();
    assert_eq!((moved.place, moved.status, moved.ready_since), (Placement::Runners, JobStatus::Ready, job.ready_since));
    let again = [&moved, &starting].map(|job| job.move_to(Placement::Runners, time_at(61)).is_err());
    assert_eq!(again, [true, true]);
    let back = moved.move_to(Placement::Fargate, time_at(70)).unwrap();
    assert_eq!((back.place, back.dispatch.due), (Placement::Fargate, time_at(70)));
}

#[test]
fn new_job_overflows_once_after_the_projects_time() {
    for secs in [60, 120, 3_600] {
        check(secs - 1, &overflow(secs), WaitingStep::Wake);
        check(secs, &overflow(secs), WaitingStep::Move(Placement::Fargate));
    }
    let moved = job().move_to(Placement::Fargate, time_at(120)).unwrap();
    let requeued = |place| Job { place, ..active(JobStatus::Claimed) }.requeue(time_at(500)).unwrap();
    // It does not return, also after an attempt, and neither do older jobs of tasks.
    for job in [&moved, &requeued(Placement::Fargate)] {
        assert_eq!(required_place(job, &overflow(60), time_at(80_000)), None);
    }
    let (needs, settings) = (needs(KeyOwner::Project, &[]), overflow(60));
    let facts = facts(&settings, &needs);
    let worked = Job { worked: true, ..requeued(Placement::Runners) };
    assert_eq!(facts.next_step(&worked, time_at(80_000)), WaitingStep::Wake, "its session or key is elsewhere");
    let unstarted = requeued(Placement::Runners);
    assert_eq!(facts.next_step(&unstarted, time_at(80_000)), WaitingStep::Move(Placement::Fargate));
    // A place in a limit starts the time.
    let placed = Job { ready_since: time_at(1_000), ..job() };
    assert_eq!(facts.overflow_at(&placed, time_at(1_000)), Some(time_at(1_060)));
}

#[test]
fn job_overflows_only_if_a_task_can_run_it() {
    let settings = overflow(60);
    let command = ClassRequirements { capability: COMMAND.into(), ..needs(KeyOwner::Runner, &[]) };
    for (needs, on_one_machine, obstacle) in [
        (needs(KeyOwner::Project, &[]), false, None),
        (needs(KeyOwner::Project, &["gpu"]), false, Some(TaskObstacle::Labels)),
        (needs(KeyOwner::Runner, &["gpu"]), true, Some(TaskObstacle::Labels)),
        (needs(KeyOwner::Runner, &[]), false, Some(TaskObstacle::Key)),
        (needs(KeyOwner::Runner, &[]), true, None),
        (command, false, None),
    ] {
        let facts = ClassFacts { on_one_machine, ..facts(&settings, &needs) };
        assert_eq!(facts.task_obstacle(), obstacle, "{needs:?}");
        let expected = obstacle.map_or(WaitingStep::Move(Placement::Fargate), |_| WaitingStep::Wake);
        assert_eq!(facts.next_step(&job(), time_at(80_000)), expected, "{needs:?}");
        let order = Timestamp::from_millis(job().order());
        assert_eq!(facts.may_need_step(&project_id(), order, time_at(100)), obstacle.is_none(), "{needs:?}");
    }
}

#[test]
fn job_does_not_overflow_while_its_model_is_unavailable() {
    let (settings, needs) = (overflow(60), needs(KeyOwner::Project, &[]));
    let step = |job: &Job, breakers: &[Breaker], secs| {
        ClassFacts { breakers, ..facts(&settings, &needs) }.next_step(job, time_at(secs))
    };
    let open = [breaker(Account::Project(project_id()), 3_600)];
    let start = 3_600 + 600;
    assert_eq!(step(&job(), &open, start - 1), WaitingStep::Wake);
    assert_eq!(step(&job(), &open, start + 59), WaitingStep::Wake, "runners have their time after its end");
    assert_eq!(step(&job(), &open, start + 60), WaitingStep::Move(Placement::Fargate));
    let waiting = Job { model: model_wait(0, 900), ..job() };
    assert_eq!(
        (step(&waiting, &[], 959), step(&waiting, &[], 960)),
        (WaitingStep::Wake, WaitingStep::Move(Placement::Fargate))
    );
    let facts = ClassFacts { breakers: &open, ..facts(&settings, &needs) };
    assert_eq!(facts.overflow_at(&job(), time_at(100)), None, "the sentence names the account instead");
}

#[test]
fn blocked_class_is_read_once_a_job_may_overflow() {
    let (mut settings, needs) = (overflow(60), needs(KeyOwner::Project, &[]));
    for (until, unclaimed_secs) in [(3_600, 7 * DAY), (DAY, 7 * DAY), (DAY, 900)] {
        settings.limits.unclaimed_secs = unclaimed_secs;
        let open = [breaker(Account::Project(project_id()), until)];
        let facts = ClassFacts { breakers: &open, ..facts(&settings, &needs) };
        let reads = |order, secs| facts.may_need_step(&project_id(), order, time_at(secs));
        for (secs, priority) in (0..2 * DAY).step_by(60).flat_map(|secs| Priority::ALL.map(|it| (secs, it))) {
            let job = Job { priority, ..job() };
            let changes = !matches!(facts.next_step(&job, time_at(secs)), WaitingStep::Skip | WaitingStep::Wake);
            assert!(!changes || reads(Timestamp::from_millis(job.order()), secs), "{secs} {priority:?}");
        }
        let order = Timestamp::from_millis(job().order());
        assert!(!reads(order, until.min(DAY - 3_600) - 1) && reads(order, until + 600), "{until}");
    }
}
