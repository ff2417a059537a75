//! Tests the writes of registered runners: heartbeat, offline mark, job loss, drain and removal.

use crate::prelude::*;
use crate::sample;
use crate::world::{World, failed_end};
use pullyard_domain::id::RunnerId;
use pullyard_domain::runner::Heartbeat;
use pullyard_store::{MAX_CLOCK_SKEW, SweeperState};

pub(crate) fn with_heartbeat(runner: &Runner, secs: u64) -> Runner {
    let active = runner.slots.keys().cloned().collect();
    let heartbeat =
        Heartbeat { instance: runner.instance.clone(), active_jobs: active, draining: false, is_sign_off: false };
    runner.with_heartbeat(heartbeat, at(secs)).unwrap()
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
    let (world, seen) = world_with_runner().await;
    world.expect_applied(world.store.mark_offline(&seen, &marked_offline(&seen))).await;
    let offline = world.runner(&seen).await;
    assert_eq!((offline.status, offline.epoch), (Presence::Offline, 2));
    let back = with_heartbeat(&offline, 600);
    world.expect_applied(world.store.record_heartbeat(&offline, &back)).await;
    assert_eq!(world.runner(&seen).await, back);
    // A claim between the read and the heartbeat must not lose its slot.
    let seen = world.runner(&seen).await;
    let job = world.running_job_on(&seen, "APP-1", JobStatus::Claimed).await;
    world.expect_applied(world.store.record_heartbeat(&seen, &with_heartbeat(&seen, 610))).await;
    assert!(world.runner(&seen).await.slots.contains_key(&job.id));
}

#[tokio::test]
async fn active_jobs_and_last_heartbeat_are_stored_as_sent() {
    let (world, seen) = world_with_runner().await;
    world.running_job_on(&seen, "APP-1", JobStatus::Executing).await;
    let seen = world.runner(&seen).await;
    let busy = with_heartbeat(&seen, 30);
    assert_eq!(busy.active.len(), 1);
    world.expect_applied(world.store.record_heartbeat(&seen, &busy)).await;
    assert_eq!(world.runner(&seen).await, busy);
    let goodbye =
        Heartbeat { instance: seen.instance.clone(), active_jobs: BTreeSet::new(), draining: true, is_sign_off: true };
    let offline = busy.with_heartbeat(goodbye, at(40)).unwrap();
    assert_eq!((offline.status, offline.epoch), (Presence::Offline, busy.epoch + 1));
    world.expect_applied(world.store.record_heartbeat(&busy, &offline)).await;
    assert_eq!(world.runner(&seen).await, offline);
}

#[tokio::test]
async fn spared_runner_stays_spared_until_its_heartbeat() {
    let (world, seen) = world_with_runner().await;
    let spared = Runner { spared_until: Some(at(590)), ..marked_offline(&seen) };
    world.expect_applied(world.store.mark_offline(&seen, &spared)).await;
    let offline = world.runner(&seen).await;
    assert_eq!(offline, spared);
    let back = with_heartbeat(&offline, 510);
    world.expect_applied(world.store.record_heartbeat(&offline, &back)).await;
    assert_eq!(back.spared_until, None);
    assert_eq!(world.runner(&seen).await, back);
}

#[tokio::test]
async fn runner_with_a_newer_heartbeat_is_not_marked_offline() {
    let (world, seen) = world_with_runner().await;
    world.expect_applied(world.store.record_heartbeat(&seen, &with_heartbeat(&seen, 30))).await;
    world.expect_refused(world.store.mark_offline(&seen, &marked_offline(&seen))).await;
    let seen = world.runner(&seen).await;
    world.expect_applied(world.store.mark_offline(&seen, &marked_offline(&seen))).await;
    world.expect_refused(world.store.mark_offline(&seen, &marked_offline(&seen))).await;
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
    let (world, seen) = world_with_runner().await;
    world.running_job_on(&seen, "APP-1", JobStatus::Executing).await;
    let seen = world.runner(&seen).await;
    assert_eq!(end_with_proof(&world, &seen, offline_proof).await, Write::Stale, "the runner is Online");
    world.expect_applied(world.store.mark_offline(&seen, &marked_offline(&seen))).await;
    let offline = world.runner(&seen).await;
    world.expect_applied(world.store.record_heartbeat(&offline, &with_heartbeat(&offline, 501))).await;
    assert_eq!(end_with_proof(&world, &offline, offline_proof).await, Write::Stale, "the runner came back");
    let back = world.runner(&seen).await;
    world.expect_applied(world.store.mark_offline(&back, &marked_offline(&back))).await;
    assert_eq!(
        end_with_proof(&world, &offline, offline_proof).await,
        Write::Stale,
        "the proof is from an earlier epoch"
    );
    let offline = world.runner(&seen).await;
    assert_eq!(end_with_proof(&world, &offline, offline_proof).await, Write::Applied);
    assert!(world.runner(&seen).await.slots.is_empty());
}

#[tokio::test]
async fn heartbeat_acknowledges_only_the_drain_it_read() {
    let (world, seen) = world_with_runner().await;
    let drain = Drain { by: "ana".into(), at: at(5), acknowledged: None };
    world.expect_applied(world.store.set_drain(&seen, Some(&drain))).await;
    world.expect_refused(world.store.record_heartbeat(&seen, &with_heartbeat(&seen, 30))).await;
    let seen = world.runner(&seen).await;
    assert_eq!(seen.drain.as_ref(), Some(&drain));
    let heartbeat =
        Heartbeat { instance: seen.instance.clone(), active_jobs: BTreeSet::new(), draining: true, is_sign_off: false };
    world
        .expect_applied(world.store.record_heartbeat(&seen, &seen.with_heartbeat(heartbeat.clone(), at(30)).unwrap()))
        .await;
    let done = world.runner(&seen).await;
    assert_eq!(done.drain.as_ref().unwrap().acknowledged, Some(at(30)));
    assert!(done.draining);
    world.expect_applied(world.store.set_drain(&seen, None)).await;
    world.expect_refused(world.store.record_heartbeat(&done, &done.with_heartbeat(heartbeat, at(40)).unwrap())).await;
    assert_eq!(world.runner(&seen).await.drain, None);
    world.delete_item("RUNNERS#", "rnr_").await;
    world.expect_refused(world.store.set_drain(&seen, Some(&drain))).await;
}

#[tokio::test]
async fn runner_is_removed_with_its_name_after_its_last_slot() {
    let (world, seen) = world_with_runner().await;
    let job = world.running_job_on(&seen, "APP-1", JobStatus::Executing).await;
    let seen = world.runner(&seen).await;
    world.expect_refused(world.store.delete_runner(&seen)).await;
    world.expect_applied(world.store.begin_removal(&seen)).await;
    world.expect_refused(world.store.begin_removal(&seen)).await;
    world.expect_refused(world.store.delete_runner(&seen)).await;
    let ending = world.prepare_end(&job, failed_end(), at(300)).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    world.expect_applied(world.store.delete_runner(&seen)).await;
    assert_eq!(world.store.load_runner_id("kite").await.unwrap(), None);
    assert_eq!(world.store.load_runner(&seen.id).await.unwrap(), None);
    let profiles = async || world.store.load_runner_profiles(std::slice::from_ref(&seen.id)).await.unwrap();
    assert!(world.after_catching_up(profiles).await.is_empty());
    world.expect_applied(world.store.delete_runner(&seen)).await;
    let other = Runner { id: RunnerId::for_registration("other", "kite"), ..sample::runner("kite", 1) };
    let profile = sample::profile(&other, "kite");
    world.expect_applied(world.store.register_runner(&first_registration(&other, &profile))).await;
    world.expect_refused(world.store.delete_runner(&seen)).await;
    assert_eq!(world.store.load_runner_id("kite").await.unwrap(), Some(other.id));
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
    let read = profiles.iter().map(|profile| &profile.as_ref().unwrap().id);
    assert_eq!(read.collect::<BTreeSet<_>>(), ids.iter().collect());
    let mut item = world.items().await.into_iter().find(|(_, item)| item.contains_key("capabilities")).unwrap().1;
    item.remove("capabilities");
    world.client.put_item().table_name(&world.table).set_item(Some(item)).send().await.unwrap();
    let profiles = world.after_catching_up(async || world.store.load_runner_profiles(&ids).await.unwrap()).await;
    assert_eq!((profiles.len(), profiles.iter().filter(|profile| profile.is_ok()).count()), (130, 129));
    let mut item = world.items().await.into_iter().find(|((pk, _), _)| pk.starts_with("RUNNERS#")).unwrap().1;
    item.remove("epoch");
    world.client.put_item().table_name(&world.table).set_item(Some(item)).send().await.unwrap();
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
    let other = ClassId::for_key("acme", "codex", &BTreeSet::new(), KeyOwner::Runner);
    let others = ClassRequirements { capability: "codex".into(), labels: BTreeSet::new(), key: KeyOwner::Runner };
    world.store.create_class(&sample::project(), &other, &others).await.unwrap();
    let read = world.after_catching_up(async || world.store.list_classes(&sample::project()).await.unwrap()).await;
    let read: BTreeSet<_> = read.into_iter().map(|class| class.unwrap().0).collect();
    assert_eq!(read, BTreeSet::from([class.clone(), other.clone()]));
    assert_eq!(world.store.load_class(&sample::project(), &other).await.unwrap(), Some(others));
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
    world.client.put_item().table_name(&world.table).set_item(Some(item)).send().await.unwrap();
    let read = world.after_catching_up(async || world.store.list_classes(&sample::project()).await.unwrap()).await;
    assert_eq!((read.len(), read.iter().filter(|class| class.is_ok()).count()), (2, 1), "{read:?}");
}

#[tokio::test]
async fn sweep_record_never_moves_back() {
    let world = World::new().await;
    assert_eq!(world.store.load_sweeper_state().await.unwrap(), None);
    let round = |secs| SweeperState { at: at(secs), ready_at: at(0), since: Some(at(1)), gauges: None };
    world.expect_applied(world.store.put_sweeper_state(&round(60))).await;
    world.expect_refused(world.store.put_sweeper_state(&round(30))).await;
    world.expect_applied(world.store.put_sweeper_state(&round(90))).await;
    assert_eq!(world.store.load_sweeper_state().await.unwrap(), Some(round(90)));
}

#[tokio::test]
async fn sweep_record_with_invalid_or_future_time_is_replaced() {
    let world = World::new().await;
    let round = |secs| SweeperState { at: at(secs), ready_at: at(0), since: None, gauges: None };
    world.expect_applied(world.store.put_sweeper_state(&round(60))).await;
    let item = world.items().await.into_values().next().unwrap();
    let says = async |value: Option<AttributeValue>| {
        let mut item = item.clone();
        match value {
            Some(value) => item.insert("at".into(), value),
            None => item.remove("at"),
        };
        world.client.put_item().table_name(&world.table).set_item(Some(item)).send().await.unwrap();
    };
    let number = |at: Timestamp| Some(AttributeValue::N(at.millis().to_string()));
    let ahead = at(90).plus(MAX_CLOCK_SKEW);
    for none in [None, Some(AttributeValue::S("noon".into())), number(ahead.plus(Duration::from_millis(1)))] {
        says(none).await;
        world.expect_applied(world.store.put_sweeper_state(&round(90))).await;
        assert_eq!(world.store.load_sweeper_state().await.unwrap(), Some(round(90)));
    }
    says(number(ahead)).await;
    world.expect_refused(world.store.put_sweeper_state(&round(90))).await;
}
