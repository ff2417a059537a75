use super::*;
use crate::agent::runner::Drain;
use crate::agent::runner::order::{Order, OrderKind, OrderState};
use crate::fixtures::{job_id, project_id, ready_job, runner, slot, time_at};
use crate::job::Placement;
use crate::project::Settings;
use crate::text::id::{OrderId, ProjectId};
use crate::text::key_of::KeyOwner;
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

fn summaries(members: &[Member]) -> Vec<MemberSummary> {
    members.iter().map(MemberSummary::from).collect()
}

fn fleet<'a>(members: &'a [MemberSummary], requirements: &'a ClassRequirements, settings: &'a Settings) -> Fleet<'a> {
    let class = ClassFacts { requirements, settings, breakers: &[], on_one_machine: false };
    Fleet { members, class, jobs_ahead: 4 }
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
    let members = summaries(members);
    let fleet = fleet(&members, &needs, &settings);
    let job = Job { place: Placement::Runners, ready_since: time_at(960), ..ready_job() };
    assert_eq!(crate::job::explanation::wait_reason(&job, Some(&fleet), time_at(1_000)), Some(expected));
}

const OTHERS: &str = "its repository, ticket or request";

fn no_label(labels: &str, origin: &str, all: &str) -> Wait {
    Wait::NoLabel { labels: Cause(labels.into()), origin: origin.into(), all: Advice(all.into()) }
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
    check_labels(&fleet, "eu gpu tpu", no_label("tpu", OTHERS, "eu,gpu,tpu"));
    check_labels(&fleet, "arm tpu", no_label("arm, tpu", "the setting, repository, ticket or request", "arm,tpu"));
    check_labels(&fleet, "", Wait::StartingNow { ago: Span(40) });
    check_labels(&fleet, "GPU", Wait::StartingNow { ago: Span(40) });
    // Each label has a runner, but no runner has both.
    let apart = Wait::LabelsApart { name: "kite".into(), labels: Cause("gpu".into()), all: Advice("eu,gpu".into()) };
    check_labels(&fleet, "eu gpu", apart.clone());
    assert_eq!(apart.sentence(), "No single runner has all labels of the job: kite lacks gpu.");
}

#[test]
fn ten_labels_are_named_in_sentence_and_command() {
    let labels = (0..10).map(|n| format!("label{n}-abc")).collect::<Vec<_>>();
    let all = labels.join(",");
    let needs = ClassRequirements {
        capability: "command".into(),
        labels: labels.iter().cloned().collect(),
        key: KeyOwner::Runner,
    };
    let settings = Settings { labels: BTreeSet::from([labels[0].clone()]), ..Settings::default() };
    let members = summaries(&[member("kite", "command", "")]);
    let wait = fleet(&members, &needs, &settings).wait_reason(&ready_job(), time_at(1_000));
    let origin = "the setting, repository, ticket or request";
    let expected = format!("No online runner with the job's agent has {} (from {origin}).", labels.join(", "));
    assert_eq!(wait.sentence(), expected);
    assert!(wait.help().contains(&format!("`pullyard runner start --labels {all}`")), "{}", wait.help());
}

#[test]
fn labels_of_a_ticket_are_quoted_in_commands() {
    let set = |labels: &[&str]| labels.iter().map(|label| label.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(quote(&set(&["gpu", "os:linux/arm_64-v1.2"])), "gpu,os:linux/arm_64-v1.2");
    assert_eq!(quote(&set(&["$(reboot)"])), "'$(reboot)'");
    assert_eq!(quote(&set(&["a'b"])), r"'a'\''b'");
}

/// A job that is ready since 960 s, in a project with overflow after 120 s.
fn overflow_wait(members: &[Member], needs: &ClassRequirements, secs: u64) -> Wait {
    let settings = Settings { compute: Compute::RunnersThenFargate, ..Settings::default() };
    let job = Job { place: Placement::Runners, ready_since: time_at(960), ..ready_job() };
    fleet(&summaries(members), needs, &settings).wait_reason(&job, time_at(secs))
}

fn requirements(capability: &str, labels: &str) -> ClassRequirements {
    ClassRequirements { capability: capability.into(), labels: word_set(labels), key: KeyOwner::Runner }
}

#[test]
fn job_that_will_overflow_names_its_obstacle_and_the_time() {
    let good = || member("kite", "command", "");
    let needs = requirements("command", "");
    let paused = [with_drain(good())];
    for (members, sentence, help) in [
        (&[][..], "No runner is registered for acme.", "Create a token with"),
        (&[with_busy_slots(good())], "All 2 slots of 1 matching runners are busy; 4 jobs are ahead.", "`--slots`."),
        (&paused, "All 1 matching runners are paused or draining.", "`pullyard runners resume kite`."),
        (&[good()], "The job may start at any moment; it has been ready for 40 s.", "Nothing to do."),
    ] {
        let wait = overflow_wait(members, &needs, 1_000);
        assert_eq!(wait.code(), "overflow_soon");
        let time = time_at(1_080);
        let Wait::OverflowSoon { time: stated, .. } = &wait else { panic!("{wait:?}") };
        assert_eq!(*stated, time);
        let expected = format!("{sentence} After ");
        assert!(wait.sentence().starts_with(&expected) && wait.sentence().ends_with(" a task runs it."), "{wait:?}");
        assert!(wait.help().contains(help), "{}", wait.help());
    }
}

#[test]
fn job_that_no_task_can_run_names_the_cause() {
    let offline = [with_old_heartbeat(member("kite", "command codex", "gpu"))];
    let labelled = requirements("command", "gpu");
    assert_eq!(overflow_wait(&offline, &labelled, 1_079).code(), "no_online_runner");
    let wait = overflow_wait(&offline, &labelled, 1_080);
    let reason = "No runner of acme is online; the last heartbeat was 6 min ago";
    assert_eq!(wait.sentence(), format!("{reason}. No task can run the job: it requires gpu."));
    assert!(wait.help().ends_with("`pullyard runner start --labels=gpu`."), "{}", wait.help());
    let wait = overflow_wait(&offline, &requirements("codex", ""), 1_080);
    assert_eq!(
        wait.sentence(),
        format!("{reason}. No task can run the job: it was created without a model key of the project for codex.")
    );
    // Other obstacles keep their own sentence and advice.
    let busy = [with_busy_slots(member("kite", "command", "gpu"))];
    assert_eq!(overflow_wait(&busy, &labelled, 1_085).code(), "slots_busy");
    assert_eq!(overflow_wait(&[member("kite", "command", "eu")], &labelled, 1_085).code(), "no_label");
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
    use crate::agent::breaker::{Account, AccountFault, AttemptRef, Breaker, BreakerCause, BreakerId};
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
    let settings = Settings::default();
    let wait = |members: &[Member], breakers: &[Breaker]| {
        let members = summaries(members);
        let plain = fleet(&members, &needs, &settings);
        crate::job::explanation::wait_reason(
            &job,
            Some(&Fleet { class: ClassFacts { breakers, ..plain.class }, ..plain }),
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

#[test]
fn stored_summary_is_online_as_long_as_its_runner() {
    let good = || member("kite", "command", "gpu");
    let with_status = |status| Member { runner: Runner { status, ..good().runner }, ..good() };
    let slow = Member { runner: Runner { offline_secs: Some(600), ..good().runner }, ..good() };
    for member in [good(), slow, with_status(Presence::Offline), with_status(Presence::Deleting)] {
        let json = serde_json::to_string(&MemberSummary::from(&member)).unwrap();
        let stored: MemberSummary = serde_json::from_str(&json).unwrap();
        assert_eq!(stored, MemberSummary::from(&member));
        for secs in [900, 1_000, 1_090, 1_091, 1_600, 1_601] {
            assert_eq!(stored.is_online(time_at(secs)), member.runner.is_online(time_at(secs)), "{json} at {secs} s");
        }
    }
}

#[test]
fn snapshot_is_recent_for_three_minutes_after_its_time() {
    let is_recent = |secs| FleetSnapshot::is_recent(time_at(1_000), time_at(secs));
    assert_eq!([999, 1_000, 1_180, 1_181].map(is_recent), [false, true, true, false]);
}

#[test]
fn presence_is_judged_as_of_the_snapshots_time() {
    let members = summaries(&[member("kite", "command", "")]);
    for (silent, expected) in [(30, true), (90, true), (91, false)] {
        let fleet = FleetSnapshot { at: time_at(1_000 + silent), members: members.clone() };
        let now = time_at(1_000 + silent + 100);
        assert_eq!(fleet.into_members(now)[0].is_online(now), expected, "silent for {silent} s");
    }
}

#[test]
fn stored_snapshot_stays_readable() {
    let stored = r#"{"at":1000,"later":1,"members":[{"profile":{"id":"ID","name":"kite","capabilities":["command"],
        "labels":["gpu"],"version":"0.1.0","projects":null,"isolation":null,"later":1},"status":"online",
        "last_heartbeat":900,"offline_secs":90,"max":2,"busy":1,"draining":false,"updating":false,"later":1}]}"#;
    let id = member("kite", "command", "gpu").profile.id;
    let fleet: FleetSnapshot = serde_json::from_str(&stored.replace("ID", id.as_str())).unwrap();
    let mut expected = summaries(&[member("kite", "command", "gpu")]).remove(0);
    expected.profile.projects = None;
    let heartbeat = Timestamp::from_millis(900);
    let expected = MemberSummary { busy: 1, last_heartbeat: heartbeat, ..expected };
    assert_eq!(fleet, FleetSnapshot { at: Timestamp::from_millis(1_000), members: vec![expected] });
}
