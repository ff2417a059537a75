//! Tests the registration of self-hosted runners: one process and one name each.

use crate::every_item::forms::forms;
use crate::prelude::*;
use crate::sample;
use crate::world::World;
use pullyard_domain::agent::runner::{MIN_REMEMBERED_CLAIMS, Profile};
use pullyard_domain::job::fleet::Member;

fn profile(runner: &Runner) -> Profile {
    sample::profile(runner, "kite")
}

fn next_process(seen: &Runner) -> Runner {
    Runner {
        epoch: seen.epoch + 1,
        instance: InstanceId::new(format!("process-{}", seen.epoch + 1)).unwrap(),
        last_heartbeat: at(500),
        ..seen.clone()
    }
}

fn takeover<'a>(seen: &'a Runner, runner: &'a Runner, profile: &'a Profile) -> RegistrationWrite<'a> {
    RegistrationWrite { previous: Some(seen), ..first_registration(runner, profile) }
}

#[tokio::test]
async fn new_runner_is_stored_with_profile_and_name() {
    let world = World::new().await;
    let runner = sample::runner("kite", 2);
    let profile = profile(&runner);
    world.expect_applied(world.store.register_runner(&first_registration(&runner, &profile))).await;
    assert_eq!(world.runner(&runner).await, runner);
    assert_eq!(world.store.load_member(&runner.id).await.unwrap(), Some(Member { runner, profile }));
    assert_eq!(world.items().await.len(), 3);
}

#[tokio::test]
async fn taken_name_is_refused_to_a_new_runner_and_a_takeover() {
    let world = World::new().await;
    let (one, two) = (sample::runner("one", 1), sample::runner("two", 1));
    world.expect_applied(world.store.register_runner(&first_registration(&one, &profile(&one)))).await;
    world.expect_refused(world.store.register_runner(&first_registration(&two, &profile(&two)))).await;
    world
        .expect_applied(world.store.register_runner(&first_registration(&two, &sample::profile(&two, "dragon"))))
        .await;
    world.expect_refused(world.store.register_runner(&takeover(&two, &next_process(&two), &profile(&two)))).await;
}

fn claim_ids(claims: std::ops::Range<usize>) -> Vec<ClaimId> {
    claims.map(|number| ClaimId::new(format!("c{number}")).unwrap()).collect()
}

#[tokio::test]
async fn heartbeat_removes_only_the_oldest_claims_it_read() {
    let world = World::new().await;
    let claims = claim_ids(100..100 + MIN_REMEMBERED_CLAIMS + 2);
    let seen = world.register_runner(&Runner { claims, ..sample::runner("kite", 1) }).await;
    let newest = world.running_job_on(&seen, "APP-1", JobStatus::Claimed).await.run.unwrap().claim;
    let after_heartbeat = |secs| Runner { last_heartbeat: at(secs), claims: seen.claims[2..].to_vec(), ..seen.clone() };
    world.expect_applied(world.store.record_heartbeat(&seen, &after_heartbeat(30))).await;
    let remaining_claims = [&seen.claims[2..], &[newest]].concat();
    assert_eq!(world.runner(&seen).await.claims, remaining_claims);
    // Another heartbeat over the same read removes no more claims.
    world.expect_refused(world.store.record_heartbeat(&seen, &after_heartbeat(40))).await;
    assert_eq!(world.runner(&seen).await.claims, remaining_claims);
}

#[tokio::test]
async fn heartbeat_that_removes_no_claim_ignores_other_removals() {
    let world = World::new().await;
    let claims = claim_ids(100..100 + MIN_REMEMBERED_CLAIMS + 2);
    let seen = world.register_runner(&Runner { claims, ..sample::runner("kite", 1) }).await;
    let after_heartbeat =
        |secs, claims: &[ClaimId]| Runner { last_heartbeat: at(secs), claims: claims.to_vec(), ..seen.clone() };
    world.expect_applied(world.store.record_heartbeat(&seen, &after_heartbeat(30, &seen.claims[2..]))).await;
    world.expect_applied(world.store.record_heartbeat(&seen, &after_heartbeat(40, &seen.claims))).await;
    let stored = world.runner(&seen).await;
    assert_eq!((stored.last_heartbeat, &stored.claims[..]), (at(40), &seen.claims[2..]));
}

#[tokio::test]
async fn heartbeat_after_a_gap_stores_the_new_steady_time() {
    let world = World::new().await;
    let seen = world.register_runner(&sample::runner("kite", 1)).await;
    let steady =
        |runner: &Runner, secs| Runner { last_heartbeat: at(200), steady_since: Some(at(secs)), ..runner.clone() };
    world.expect_applied(world.store.record_heartbeat(&seen, &steady(&seen, 200))).await;
    let stored = world.runner(&seen).await;
    assert_eq!(stored.steady_since, Some(at(200)));
    let next = Runner { last_heartbeat: at(210), ..stored.clone() };
    world.expect_applied(world.store.record_heartbeat(&stored, &next)).await;
    assert_eq!(world.runner(&seen).await.steady_since, Some(at(200)));
}

fn runner_in_form([drains, claimed]: [bool; 2]) -> Runner {
    let drain = Drain { by: "ann".into(), at: at(5), acknowledged: None };
    let claims = ["c1", "c2"].map(|claim| ClaimId::new(claim).unwrap());
    Runner {
        drain: drains.then_some(drain),
        claims: claims.into_iter().filter(|_| claimed).collect(),
        ..sample::runner("kite", 2)
    }
}

#[tokio::test]
async fn takeover_is_refused_by_each_changed_fact() {
    for form @ [drains, claimed] in forms() {
        let world = World::new().await;
        let stored = world.register_runner(&runner_in_form(form)).await;
        let slot = Slot { attempt: 1, claim: ClaimId::new("c1").unwrap(), project: sample::project(), since: at(60) };
        let otherwise = [
            Runner { epoch: 2, ..stored.clone() },
            Runner { last_heartbeat: at(1), ..stored.clone() },
            Runner { slots: [(sample::job_id("one"), slot)].into(), ..stored.clone() },
            Runner { drain: runner_in_form([!drains, claimed]).drain, ..stored.clone() },
            Runner { claims: runner_in_form([drains, !claimed]).claims, ..stored.clone() },
            Runner { claims: vec![ClaimId::new("c2").unwrap()], ..stored.clone() },
        ];
        let (new, profile) = (next_process(&stored), profile(&stored));
        for seen in otherwise {
            println!("{seen:?}");
            world.expect_refused(world.store.register_runner(&takeover(&seen, &new, &profile))).await;
        }
        world.expect_applied(world.store.register_runner(&takeover(&stored, &new, &profile))).await;
    }
}

#[tokio::test]
async fn heartbeat_is_refused_by_each_changed_fact() {
    for form @ [drains, forgets] in forms() {
        let world = World::new().await;
        let stored = world.register_runner(&Runner { last_heartbeat: at(20), ..runner_in_form(form) }).await;
        let other = InstanceId::new("process-2").unwrap();
        let otherwise = [
            Runner { epoch: 2, ..stored.clone() },
            Runner { instance: other, ..stored.clone() },
            Runner { drain: runner_in_form([!drains, forgets]).drain, ..stored.clone() },
            Runner { claims: ["c0", "c1"].map(|claim| ClaimId::new(claim).unwrap()).to_vec(), ..stored.clone() },
        ];
        let after_heartbeat = |seen: &Runner, secs| Runner {
            last_heartbeat: at(secs),
            claims: seen.claims[usize::from(forgets)..].to_vec(),
            ..seen.clone()
        };
        for seen in &otherwise[..3 + usize::from(forgets)] {
            println!("{seen:?}");
            world.expect_refused(world.store.record_heartbeat(seen, &after_heartbeat(seen, 30))).await;
        }
        world.expect_refused(world.store.record_heartbeat(&stored, &after_heartbeat(&stored, 19))).await;
        world.expect_applied(world.store.record_heartbeat(&stored, &after_heartbeat(&stored, 30))).await;
        // The start of a removal raises the epoch, and the status alone must refuse too.
        let stored = world.runner(&stored).await;
        world.expect_applied(world.store.begin_removal(&stored)).await;
        let removed = world.runner(&stored).await;
        assert_eq!(removed.status, Presence::Deleting);
        world.expect_refused(world.store.record_heartbeat(&removed, &after_heartbeat(&removed, 40))).await;
    }
}

#[tokio::test]
async fn order_changes_only_over_the_one_that_was_read() {
    use OrderState::{Accepted, Failed, Wanted};
    let world = World::new().await;
    let seen = world.register_runner(&sample::runner("kite", 1)).await;
    let (first, second) = (sample::order("o1", Wanted), sample::order("o2", Wanted));
    world.expect_applied(world.store.set_order(&seen, &first)).await;
    world.expect_refused(world.store.set_order(&seen, &second)).await;
    let ordered = world.runner(&seen).await;
    assert_eq!(ordered.order, Some(first));
    let report = |runner: &Runner, state, secs| {
        let order = Order { reason: (state == Failed).then(|| "why".into()), ..sample::order("o1", state) };
        Runner { last_heartbeat: at(secs), order: Some(order), ..runner.clone() }
    };
    let accepted = report(&ordered, Accepted, 30);
    world.expect_applied(world.store.record_heartbeat(&ordered, &accepted)).await;
    let stored = world.runner(&seen).await;
    assert_eq!(stored.order, accepted.order);
    // A repeat of the report, and a newer order over the one that was read, are late.
    world.expect_refused(world.store.record_heartbeat(&ordered, &report(&ordered, Failed, 31))).await;
    world.expect_refused(world.store.set_order(&ordered, &second)).await;
    // A registration that has not seen the order would remove it.
    let (new, profile) = (next_process(&seen), profile(&seen));
    let late = Runner { last_heartbeat: stored.last_heartbeat, ..seen.clone() };
    world.expect_refused(world.store.register_runner(&takeover(&late, &new, &profile))).await;
    world.expect_applied(world.store.record_heartbeat(&stored, &report(&stored, Failed, 40))).await;
    let failed = world.runner(&seen).await;
    assert_eq!(failed.order, report(&stored, Failed, 40).order);
    world.expect_applied(world.store.set_order(&failed, &second)).await;
    assert_eq!(world.runner(&seen).await.order, Some(second));
    // Another heartbeat leaves the order as it is.
    world
        .expect_applied(world.store.record_heartbeat(&failed, &Runner { last_heartbeat: at(50), ..failed.clone() }))
        .await;
    assert_eq!(world.runner(&seen).await.order.unwrap().state, Wanted);
}
