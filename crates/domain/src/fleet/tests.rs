use super::*;
use crate::fixtures::{job_id, project_id, ready_job, runner, slot, time_at};
use crate::id::{OrderId, ProjectId};
use crate::job::Placement;
use crate::key_of::KeyOwner;
use crate::runner::Drain;
use crate::runner::order::{Order, OrderKind, OrderState};
use std::collections::BTreeSet;

fn word_set(words: &str) -> BTreeSet<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

/// A runner of the project whose last heartbeat was at 1,000 s.
fn member(name: &str, capabilities: &str, labels: &str) -> Member {
    let runner = Runner { last_heartbeat: time_at(1_000), ..runner(name) };
    let profile = Profile {
        id: runner.id.clone(),
        name: name.into(),
        capabilities: word_set(capabilities),
        labels: word_set(labels),
        version: "0.1.0".into(),
        projects: Some(BTreeSet::from([project_id()])),
        isolation: None,
    };
    Member { runner, profile }
}

fn with_busy_slots(mut member: Member) -> Member {
    member.runner.slots = ["a", "b"].map(|name| (job_id(name), slot(name, 1))).into();
    member
}

/// It reports that it drains, as a runner does that updates.
fn with_update(mut member: Member) -> Member {
    member.runner.draining = true;
    member.runner.order = Some(Order {
        id: OrderId::new("o1").unwrap(),
        kind: OrderKind::Update,
        version: Some("0.3.0".into()),
        by: "ana".into(),
        at: time_at(1),
        state: OrderState::Accepted,
        reason: None,
    });
    member
}

fn with_drain(mut member: Member) -> Member {
    member.runner.drain = Some(Drain { by: "ana".into(), at: time_at(1), acknowledged: None });
    member
}

fn with_old_heartbeat(mut member: Member) -> Member {
    member.runner.last_heartbeat = time_at(700);
    member
}

/// Checks the wait, at 1,000 s, of a job that needs `command` and the label `gpu`.
#[track_caller]
fn check(members: &[Member], expected: Wait) {
    check_labels(members, "gpu", expected);
}

#[track_caller]
fn check_labels(members: &[Member], labels: &str, expected: Wait) {
    let needs = ClassRequirements { capability: "command".into(), labels: word_set(labels), key: KeyOwner::Runner };
    let settings = Settings { labels: word_set("arm"), ..Settings::default() };
    let fleet = Fleet { members, requirements: &needs, settings: &settings, jobs_ahead: 4, breakers: &[] };
    let job = Job { place: Placement::Runners, ready_since: time_at(960), ..ready_job() };
    assert_eq!(crate::explanation::wait_reason(&job, Some(&fleet), time_at(1_000)), Some(expected));
}

const OTHERS: &str = "its repository, ticket or request";

fn no_label(labels: &str, origin: &str, all: &str) -> Wait {
    Wait::NoLabel { labels: Cause(labels.into()), origin: origin.into(), all: Cause(all.into()) }
}

#[test]
fn first_obstacle_is_the_wait() {
    let project = project_id();
    let good = || member("kite", "command", "gpu");
    check(&[], Wait::NoRunner { project: project.clone() });
    check(
        &[with_old_heartbeat(good()), with_old_heartbeat(member("gull", "codex", ""))],
        Wait::NoOnlineRunner { project, ago: Span(300) },
    );
    check(
        &[member("gull", "codex", "gpu"), with_old_heartbeat(good())],
        Wait::NoCapability { capability: "command".into(), n: 1 },
    );
    check(&[member("gull", "command", "eu")], no_label("gpu", OTHERS, "gpu"));
    check(&[with_drain(good()), member("gull", "codex", "gpu")], Wait::RunnersPaused { n: 1, name: "kite".into() });
    let updating = || with_update(member("gull", "command", "gpu"));
    check(&[with_drain(good()), updating()], Wait::RunnerUpdates { name: "gull".into() });
    check(&[with_drain(updating())], Wait::RunnersPaused { n: 1, name: "gull".into() });
    check(&[with_busy_slots(good()), updating()], Wait::SlotsBusy { total: 2, n: 1, m: 4 });
    check(&[with_busy_slots(good()), with_drain(good())], Wait::SlotsBusy { total: 2, n: 1, m: 4 });
    check(&[with_busy_slots(good()), good()], Wait::StartingNow { ago: Span(40) });
}

#[test]
fn wait_counts_all_runners_with_the_obstacle() {
    let good = |name| member(name, "command", "gpu");
    let other = |name| member(name, "codex", "gpu");
    check(&[other("kite"), other("gull")], Wait::NoCapability { capability: "command".into(), n: 2 });
    check(&[with_drain(good("kite")), with_drain(good("gull"))], Wait::RunnersPaused { n: 2, name: "kite".into() });
    check(&[with_busy_slots(good("kite")), with_busy_slots(good("gull"))], Wait::SlotsBusy { total: 4, n: 2, m: 4 });
}

#[test]
fn labels_missing_everywhere_are_named_with_their_origin() {
    let fleet = [member("kite", "command", "eu"), member("gull", "command", "gpu")];
    check_labels(&fleet, "arm eu gpu", no_label("arm", "the setting `labels`", "arm,eu,gpu"));
    check_labels(&fleet, "eu gpu", no_label("gpu", OTHERS, "eu,gpu"));
    check_labels(&fleet, "eu gpu tpu", no_label("tpu", OTHERS, "eu,gpu,tpu"));
    check_labels(&fleet, "arm tpu", no_label("arm,tpu", "the setting, repository, ticket or request", "arm,tpu"));
    check_labels(&fleet, "", Wait::StartingNow { ago: Span(40) });
}

/// The wait at `secs` with overflow after 120 s, of a job that is ready since 960 s.
fn overflow_wait(members: &[Member], labels: &str, secs: u64) -> Wait {
    let requirements =
        &ClassRequirements { capability: "command".into(), labels: word_set(labels), key: KeyOwner::Runner };
    let settings = &Settings { compute: Compute::RunnersThenFargate, ..Settings::default() };
    let job = Job { place: Placement::Runners, ready_since: time_at(960), ..ready_job() };
    Fleet { members, requirements, settings, jobs_ahead: 4, breakers: &[] }.wait_reason(&job, time_at(secs))
}

#[test]
fn job_that_will_overflow_names_its_obstacle_and_the_time() {
    let good = || member("kite", "command", "gpu");
    let busy = [with_busy_slots(good())];
    let soon = |reason: &str| Wait::OverflowSoon { reason: Cause(reason.into()), time: time_at(1_080) };
    for secs in [1_000, 1_085] {
        assert_eq!(overflow_wait(&[], "", secs), soon("No runner is registered for acme"));
        assert_eq!(overflow_wait(&busy, "", secs), soon("All 2 slots of 1 matching runners are busy"));
        assert_eq!(overflow_wait(&[good()], "", secs).code(), "starting_now");
    }
    let offline = [with_old_heartbeat(good())];
    let reason = "No runner of acme is online; the last heartbeat was 5 min ago";
    assert_eq!(overflow_wait(&offline, "", 1_000), soon(reason.split(';').next().unwrap()));
    let sentence = overflow_wait(&busy, "", 1_000).sentence();
    assert!(sentence.ends_with(" UTC a task runs the job."), "{sentence}");
}

#[test]
fn labelled_job_says_why_it_does_not_overflow() {
    let busy = [with_busy_slots(member("kite", "command", "gpu"))];
    assert_eq!(overflow_wait(&busy, "gpu", 1_079).code(), "slots_busy");
    let sentence = overflow_wait(&busy, "gpu", 1_080).sentence();
    let expected = "All 2 slots of 1 matching runners are busy; no task can run the job, which requires gpu.";
    assert_eq!(sentence, expected);
    assert_eq!(overflow_wait(&[member("kite", "command", "eu")], "gpu", 1_085).code(), "no_label");
    assert_eq!(
        overflow_wait(&[with_old_heartbeat(member("kite", "command", "gpu"))], "gpu", 1_085).code(),
        "overflow_impossible"
    );
}

#[test]
fn foreign_and_deleting_runners_do_not_count() {
    let mut foreign = member("kite", "command", "gpu");
    foreign.profile.projects = Some(BTreeSet::from([ProjectId::new("other").unwrap()]));
    let mut leaving = member("gull", "command", "gpu");
    leaving.runner.status = Presence::Deleting;
    check(&[foreign.clone(), leaving], Wait::NoRunner { project: project_id() });
    foreign.profile.projects = None;
    check(&[foreign], Wait::StartingNow { ago: Span(40) });
}

#[test]
fn job_waits_when_breakers_block_all_available_runners() {
    use crate::breaker::{Account, AccountFault, AttemptRef, Breaker, BreakerCause, BreakerId};
    let needs = ClassRequirements { capability: "codex".into(), labels: BTreeSet::new(), key: KeyOwner::Runner };
    let shut = |member: &Member, secs: u64| {
        let id = BreakerId { account: Account::Runner(member.runner.id.clone()), capability: "codex".into() };
        let trouble = AccountFault { cause: BreakerCause::LimitReached, ends_at: Some(time_at(secs)) };
        Breaker::record_fault(None, &id, &trouble, &AttemptRef { job: job_id("x"), attempt: 1 }, time_at(900)).unwrap()
    };
    let members = ["kite", "gull"].map(|name| member(name, "codex", ""));
    let [kite, gull] = members.each_ref().map(|member| shut(member, 5_000));
    let gull = Breaker { until: time_at(4_000), ..gull };
    let job = Job { place: Placement::Runners, ready_since: time_at(960), ..ready_job() };
    let wait = |members: &[Member], breakers: &[Breaker]| {
        crate::explanation::wait_reason(
            &job,
            Some(&Fleet { members, requirements: &needs, settings: &Settings::default(), jobs_ahead: 0, breakers }),
            time_at(1_000),
        )
    };
    assert_eq!(wait(&members, std::slice::from_ref(&kite)), Some(Wait::StartingNow { ago: Span(40) }));
    let both = [kite.clone(), gull];
    assert_eq!(wait(&members, &both), Some(Wait::LimitReached { time: both[1].start_time(&job.id) }));
    let with_one_busy = [members[0].clone(), with_busy_slots(members[1].clone())];
    let until = kite.start_time(&job.id);
    assert_eq!(wait(&with_one_busy, &[kite]), Some(Wait::LimitReached { time: until }));
}
