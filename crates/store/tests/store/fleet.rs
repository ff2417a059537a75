//! Tests the writes of registered runners: heartbeat, offline mark, job loss, drain and removal.

use crate::prelude::*;
use crate::sample;
use crate::world::{World, failed_end};
use pullyard_domain::agent::runner::{Heartbeat, Profile};
use pullyard_domain::job::fleet::{FleetSnapshot, MemberSummary};
use pullyard_domain::text::id::RunnerId;
use pullyard_store::{MAX_CLOCK_SKEW, ReadyCursors, SweeperState};

fn heartbeat(runner: &Runner) -> Heartbeat {
    let active_jobs = runner.slots.keys().cloned().collect();
    Heartbeat { instance: runner.instance.clone(), active_jobs, draining: false, is_sign_off: false, order: None }
}

pub(crate) fn with_heartbeat(runner: &Runner, secs: u64) -> Runner {
    runner.with_heartbeat(heartbeat(runner), at(secs)).unwrap()
}

pub(crate) fn marked_offline(runner: &Runner) -> Runner {
    Runner { status: Presence::Offline, epoch: runner.epoch + 1, ..runner.clone() }
}

async fn world_with_runner() -> (World, Runner) {
    let world = World::new().await;
    let runner = world.register_runner(&sample::runner("kite", 2)).await;
    (world, runner)
}

#[tokio::test]
async fn heartbeat_brings_a_runner_back_and_keeps_its_slots() {
    let (world, runner) = world_with_runner().await;
    world.expect_applied(world.store.mark_offline(&runner, &marked_offline(&runner))).await;
    let offline = world.runner(&runner).await;
    assert_eq!((offline.status, offline.epoch), (Presence::Offline, 2));
    let online = with_heartbeat(&offline, 600);
    world.expect_applied(world.store.record_heartbeat(&offline, &online)).await;
    assert_eq!(world.runner(&runner).await, online);
    // A claim between the read and the heartbeat must not lose its slot.
    let runner = world.runner(&runner).await;
    let job = world.running_job_on(&runner, "APP-1", JobStatus::Claimed).await;
    world.expect_applied(world.store.record_heartbeat(&runner, &with_heartbeat(&runner, 610))).await;
    assert!(world.runner(&runner).await.slots.contains_key(&job.id));
}

#[tokio::test]
async fn active_jobs_and_last_heartbeat_are_stored_as_sent() {
    let (world, runner) = world_with_runner().await;
    world.running_job_on(&runner, "APP-1", JobStatus::Executing).await;
    let runner = world.runner(&runner).await;
    let busy = with_heartbeat(&runner, 30);
    assert_eq!(busy.active.len(), 1);
    world.expect_applied(world.store.record_heartbeat(&runner, &busy)).await;
    assert_eq!(world.runner(&runner).await, busy);
    let sign_off = Heartbeat { active_jobs: BTreeSet::new(), draining: true, is_sign_off: true, ..heartbeat(&runner) };
    let offline = busy.with_heartbeat(sign_off, at(40)).unwrap();
    assert_eq!((offline.status, offline.epoch), (Presence::Offline, busy.epoch + 1));
    world.expect_applied(world.store.record_heartbeat(&busy, &offline)).await;
    assert_eq!(world.runner(&runner).await, offline);
}

#[tokio::test]
async fn spared_runner_stays_spared_until_its_heartbeat() {
    let (world, runner) = world_with_runner().await;
    let spared = Runner { spared_until: Some(at(590)), ..marked_offline(&runner) };
    world.expect_applied(world.store.mark_offline(&runner, &spared)).await;
    let offline = world.runner(&runner).await;
    assert_eq!(offline, spared);
    let online = with_heartbeat(&offline, 510);
    world.expect_applied(world.store.record_heartbeat(&offline, &online)).await;
    assert_eq!(online.spared_until, None);
    assert_eq!(world.runner(&runner).await, online);
}

#[tokio::test]
async fn runner_with_a_newer_heartbeat_is_not_marked_offline() {
    let (world, runner) = world_with_runner().await;
    world.expect_applied(world.store.record_heartbeat(&runner, &with_heartbeat(&runner, 30))).await;
    world.expect_refused(world.store.mark_offline(&runner, &marked_offline(&runner))).await;
    let runner = world.runner(&runner).await;
    world.expect_applied(world.store.mark_offline(&runner, &marked_offline(&runner))).await;
    world.expect_refused(world.store.mark_offline(&runner, &marked_offline(&runner))).await;
}

async fn end_with_proof(world: &World, seen: &Runner, proof: impl Fn(&Runner) -> RunnerCondition) -> Write {
    let job = world.store.load_job(seen.slots.keys().next().unwrap()).await.unwrap().unwrap();
    let ended = job.fail(sample::failure(), at(500)).unwrap();
    let ending = world.prepare_end_of(&job, ended, at(500)).await;
    world.store.write_job(&JobWrite { runner: proof(seen), ..ending.request() }).await.unwrap()
}

fn offline_proof(runner: &Runner) -> RunnerCondition {
    RunnerCondition::Offline { epoch: runner.epoch }
}

#[tokio::test]
async fn returning_runner_keeps_its_unended_jobs() {
    let (world, runner) = world_with_runner().await;
    world.running_job_on(&runner, "APP-1", JobStatus::Executing).await;
    let runner = world.runner(&runner).await;
    assert_eq!(end_with_proof(&world, &runner, offline_proof).await, Write::Stale, "the runner is Online");
    world.expect_applied(world.store.mark_offline(&runner, &marked_offline(&runner))).await;
    let offline = world.runner(&runner).await;
    world.expect_applied(world.store.record_heartbeat(&offline, &with_heartbeat(&offline, 501))).await;
    assert_eq!(end_with_proof(&world, &offline, offline_proof).await, Write::Stale, "the runner came back");
    let online = world.runner(&runner).await;
    world.expect_applied(world.store.mark_offline(&online, &marked_offline(&online))).await;
    assert_eq!(
        end_with_proof(&world, &offline, offline_proof).await,
        Write::Stale,
        "the proof is from an earlier epoch"
    );
    let offline = world.runner(&runner).await;
    assert_eq!(end_with_proof(&world, &offline, offline_proof).await, Write::Applied);
    assert!(world.runner(&runner).await.slots.is_empty());
}

#[tokio::test]
async fn heartbeat_acknowledges_only_the_drain_it_read() {
    let (world, runner) = world_with_runner().await;
    let drain = Drain { by: "ana".into(), at: at(5), acknowledged: None };
    world.expect_applied(world.store.set_drain(&runner, Some(&drain))).await;
    world.expect_refused(world.store.record_heartbeat(&runner, &with_heartbeat(&runner, 30))).await;
    let runner = world.runner(&runner).await;
    assert_eq!(runner.drain.as_ref(), Some(&drain));
    let draining = Heartbeat { draining: true, ..heartbeat(&runner) };
    let acknowledged = runner.with_heartbeat(draining.clone(), at(30)).unwrap();
    world.expect_applied(world.store.record_heartbeat(&runner, &acknowledged)).await;
    let drained = world.runner(&runner).await;
    assert_eq!(drained.drain.as_ref().unwrap().acknowledged, Some(at(30)));
    assert!(drained.draining);
    world.expect_applied(world.store.set_drain(&runner, None)).await;
    let late = drained.with_heartbeat(draining, at(40)).unwrap();
    world.expect_refused(world.store.record_heartbeat(&drained, &late)).await;
    assert_eq!(world.runner(&runner).await.drain, None);
    world.delete_item("RUNNERS#", "rnr_").await;
    world.expect_refused(world.store.set_drain(&runner, Some(&drain))).await;
}

#[tokio::test]
async fn runner_is_removed_with_its_name_after_its_last_slot() {
    let (world, runner) = world_with_runner().await;
    let job = world.running_job_on(&runner, "APP-1", JobStatus::Executing).await;
    let runner = world.runner(&runner).await;
    world.expect_refused(world.store.delete_runner(&runner)).await;
    world.expect_applied(world.store.begin_removal(&runner)).await;
    world.expect_refused(world.store.begin_removal(&runner)).await;
    world.expect_refused(world.store.delete_runner(&runner)).await;
    let ending = world.prepare_end(&job, failed_end(), at(300)).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    world.expect_applied(world.store.delete_runner(&runner)).await;
    assert_eq!(world.store.load_runner_id("kite").await.unwrap(), None);
    assert_eq!(world.store.load_runner(&runner.id).await.unwrap(), None);
    let profiles = async || world.store.load_runner_profiles(std::slice::from_ref(&runner.id)).await.unwrap();
    assert!(world.after_catching_up(profiles).await.is_empty());
    world.expect_applied(world.store.delete_runner(&runner)).await;
    let successor = Runner { id: RunnerId::for_registration("other", "kite"), ..sample::runner("kite", 1) };
    let profile = sample::profile(&successor, "kite");
    world.expect_applied(world.store.register_runner(&first_registration(&successor, &profile))).await;
    world.expect_refused(world.store.delete_runner(&runner)).await;
    assert_eq!(world.store.load_runner_id("kite").await.unwrap(), Some(successor.id));
}

#[tokio::test]
async fn unreadable_runner_does_not_hide_the_others() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for number in 0..130 {
        ids.push(world.register_runner(&sample::runner(&format!("r{number}"), 1)).await.id);
    }
    let all = world.after_catching_up(async || world.store.list_runners().await.unwrap()).await;
    assert_eq!(all.iter().filter(|runner| runner.is_ok()).count(), 130);
    let profiles = world.after_catching_up(async || world.store.load_runner_profiles(&ids).await.unwrap()).await;
    let profile_ids = profiles.iter().map(|profile| &profile.as_ref().unwrap().id);
    assert_eq!(profile_ids.collect::<BTreeSet<_>>(), ids.iter().collect());
    let mut item = world.items().await.into_iter().find(|(_, item)| item.contains_key("capabilities")).unwrap().1;
    item.remove("capabilities");
    world.put_item(item).await;
    let profiles = world.after_catching_up(async || world.store.load_runner_profiles(&ids).await.unwrap()).await;
    assert_eq!((profiles.len(), profiles.iter().filter(|profile| profile.is_ok()).count()), (130, 129));
    let mut item = world.items().await.into_iter().find(|((pk, _), _)| pk.starts_with("RUNNERS#")).unwrap().1;
    item.remove("epoch");
    world.put_item(item).await;
    let all = world.after_catching_up(async || world.store.list_runners().await.unwrap()).await;
    assert_eq!(all.iter().filter(|runner| runner.is_ok()).count(), 129);
    assert_eq!(all.len(), 130);
}

#[tokio::test]
async fn classes_are_listed_and_ready_jobs_are_ordered() {
    let world = World::new().await;
    let class = sample::job("any").class;
    let needs = ClassRequirements { capability: "command".into(), labels: BTreeSet::new(), key: KeyOwner::Runner };
    world.store.create_class(&sample::project(), &class, &needs).await.unwrap();
    let codex = ClassId::for_key("acme", "codex", &BTreeSet::new(), KeyOwner::Runner);
    let codex_needs = ClassRequirements { capability: "codex".into(), labels: BTreeSet::new(), key: KeyOwner::Runner };
    world.store.create_class(&sample::project(), &codex, &codex_needs).await.unwrap();
    let listed = world.after_catching_up(async || world.store.list_classes(&sample::project()).await.unwrap()).await;
    let listed: BTreeSet<_> = listed.into_iter().map(|class| class.unwrap().0).collect();
    assert_eq!(listed, BTreeSet::from([class.clone(), codex.clone()]));
    assert_eq!(world.store.load_class(&sample::project(), &codex).await.unwrap(), Some(codex_needs));
    for (name, secs) in [("b", 20), ("a", 10), ("c", 30)] {
        let job = sample::job_at(name, Compute::Runners, at(secs));
        world.expect_applied(world.store.create_job(&job_trigger(&job))).await;
    }
    let rows = world.after_catching_up(async || world.store.list_ready_jobs(&class, 2).await.unwrap()).await;
    let orders = rows.iter().map(|row| (row.job.clone(), row.order)).collect::<Vec<_>>();
    let expected = [("a", 10), ("b", 20)].map(|(name, secs)| (sample::job_id(name), at(secs).millis()));
    assert_eq!(orders, expected);
}

#[tokio::test]
async fn unreadable_row_does_not_end_the_list_of_ready_jobs() {
    let world = World::new().await;
    let class = sample::job("any").class;
    for (name, secs) in [("a", 10), ("b", 20)] {
        let job = sample::job_at(name, Compute::Runners, at(secs));
        world.expect_applied(world.store.create_job(&job_trigger(&job))).await;
    }
    let mut item = world.items().await.into_iter().find(|((pk, _), _)| pk.starts_with("JOB#")).unwrap().1;
    item.insert("pk".to_owned(), AttributeValue::S("LATER#1".to_owned()));
    world.put_item(item).await;
    let list = async || world.store.list_ready_jobs_after(&class, None, 3).await.unwrap();
    let page = world.after_catching_up(list).await;
    assert_eq!((page.rows.len(), page.is_full), (2, true));
}

#[tokio::test]
async fn unreadable_class_does_not_hide_the_others() {
    let world = World::new().await;
    let classes =
        ["command", "codex"].map(|capability| ClassId::for_key("acme", capability, &BTreeSet::new(), KeyOwner::Runner));
    for class in &classes {
        let needs = ClassRequirements { capability: "command".into(), labels: BTreeSet::new(), key: KeyOwner::Runner };
        world.store.create_class(&sample::project(), class, &needs).await.unwrap();
    }
    let mut item = world.items().await.into_iter().find(|((_, sk), _)| sk.starts_with("CLASS#")).unwrap().1;
    item.remove("needs");
    world.put_item(item).await;
    let listed = world.after_catching_up(async || world.store.list_classes(&sample::project()).await.unwrap()).await;
    assert_eq!((listed.len(), listed.iter().filter(|class| class.is_ok()).count()), (2, 1), "{listed:?}");
}

#[tokio::test]
async fn sweep_record_never_moves_back() {
    let world = World::new().await;
    assert_eq!(world.store.load_sweeper_state().await.unwrap(), None);
    let round = |secs| SweeperState {
        at: at(secs),
        ready_at: at(0),
        since: Some(at(1)),
        ready_cursors: ReadyCursors::new(),
        gauges: None,
    };
    world.expect_applied(world.store.put_sweeper_state(&round(60))).await;
    world.expect_refused(world.store.put_sweeper_state(&round(30))).await;
    world.expect_applied(world.store.put_sweeper_state(&round(90))).await;
    assert_eq!(world.store.load_sweeper_state().await.unwrap(), Some(round(90)));
}

#[tokio::test]
async fn sweep_record_with_invalid_or_future_time_is_replaced() {
    let world = World::new().await;
    let round = |secs| SweeperState {
        at: at(secs),
        ready_at: at(0),
        since: None,
        ready_cursors: ReadyCursors::new(),
        gauges: None,
    };
    world.expect_applied(world.store.put_sweeper_state(&round(60))).await;
    let item = world.items().await.into_values().next().unwrap();
    let store_time = async |value: Option<AttributeValue>| {
        let mut item = item.clone();
        match value {
            Some(value) => item.insert("at".into(), value),
            None => item.remove("at"),
        };
        world.put_item(item).await;
    };
    let number = |at: Timestamp| Some(AttributeValue::N(at.millis().to_string()));
    let ahead = at(90).plus(MAX_CLOCK_SKEW);
    for time in [None, Some(AttributeValue::S("noon".into())), number(ahead.plus(Duration::from_millis(1)))] {
        store_time(time).await;
        world.expect_applied(world.store.put_sweeper_state(&round(90))).await;
        assert_eq!(world.store.load_sweeper_state().await.unwrap(), Some(round(90)));
    }
    store_time(number(ahead)).await;
    world.expect_refused(world.store.put_sweeper_state(&round(90))).await;
}

#[tokio::test]
async fn stored_fleet_never_moves_back() {
    let world = World::new().await;
    assert_eq!(world.store.load_fleet(at(90)).await.unwrap(), None);
    // Two sweeps overlap: the one that began first ends last.
    for (secs, expected) in [(60, Write::Applied), (30, Write::Stale), (60, Write::Applied), (90, Write::Applied)] {
        assert_eq!(world.store.put_fleet(&sample::fleet(secs)).await.unwrap(), expected, "at {secs} s");
    }
    for (secs, is_recent) in [(89, false), (90, true), (270, true), (271, false)] {
        let expected = is_recent.then(|| sample::fleet(90));
        assert_eq!(world.store.load_fleet(at(secs)).await.unwrap(), expected, "read at {secs} s");
    }
}

#[tokio::test]
async fn fleet_too_large_for_an_item_is_not_stored() {
    let world = World::new().await;
    let one = sample::fleet(9).members.remove(0);
    let member = |number: u32| {
        // Each label is a hash, which no compression shortens much.
        let label = |of: &str| RunnerId::for_registration(of, &number.to_string()).to_string();
        let profile = Profile { labels: ["a", "b", "c"].map(label).into(), ..one.profile.clone() };
        MemberSummary { profile, ..one.clone() }
    };
    let fleet = |count: u32| FleetSnapshot { members: (0..count).map(member).collect(), ..sample::fleet(9) };
    // 17 equal labels of a megabyte are few bytes packed, but too many to unpack.
    let long = Profile { labels: ["a".repeat(1 << 20)].into(), ..one.profile.clone() };
    let long = MemberSummary { profile: long, ..one.clone() };
    for fleet in [fleet(10_000), FleetSnapshot { members: vec![long; 17], ..sample::fleet(9) }] {
        let refusal = world.store.put_fleet(&fleet).await;
        assert!(matches!(refusal, Err(pullyard_store::Error::Corrupt { .. })), "{refusal:?}");
        assert_eq!(world.store.load_fleet(at(9)).await.unwrap(), None);
    }
    assert_eq!(world.store.put_fleet(&fleet(1_000)).await.unwrap(), Write::Applied);
    assert!(world.store.load_fleet(at(9)).await.unwrap() == Some(fleet(1_000)));
}
