//! Tests heartbeats and takeovers that race with claims, ends and removals.

use super::{count, on_kite};
use crate::races::rounds::{Came, Lost, claim, finish, hear, remove, sweep, take_over, tally};
use crate::races::{RACERS, race, world};
use crate::sample::{self, at};
use crate::world::{World, first_time};
use pullyard_domain::id::{ClaimId, RunnerId};
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::runner::{Drain, MIN_REMEMBERED_CLAIMS, Presence, Runner};
use pullyard_store::{Ended, Error, Proof, Write};
use std::collections::BTreeSet;

/// Half of the racers send heartbeats over an old read of the runner, each with another time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn heartbeats_during_claims_lose_no_slot() {
    let world = world().await;
    let old: Vec<_> =
        (0..MIN_REMEMBERED_CLAIMS + 4).map(|number| ClaimId::new(format!("old-{number}")).unwrap()).collect();
    let runner = world.registered(&Runner { claims: old.clone(), ..sample::runner("kite", 8) }).await;
    let mut jobs = Vec::new();
    for number in 0..RACERS {
        jobs.push(world.created(&format!("job-{number}")).await);
    }
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), jobs[number].clone());
        // The racers' numbers do not follow the order of their times.
        let secs = 100 + (number * 37 % RACERS) as u64;
        async move {
            match number % 2 {
                0 => hear(&world, &runner, secs).await,
                _ => claim(&world, &runner, &job, number).await,
            }
        }
    })
    .await;
    let (came, stored) = (tally(&came), world.runner(&runner).await);
    assert_eq!((count(&came, "heard"), count(&came, "claimed")), (RACERS / 2, 8), "{came:?}");
    assert_eq!((stored.slots.len(), stored.last_heartbeat), (8, at(100 + RACERS as u64 - 2)));
    let (kept, new): (Vec<_>, Vec<_>) = stored.claims.iter().cloned().partition(|claim| old.contains(claim));
    assert!(
        old.ends_with(&kept) && stored.claims.len() >= MIN_REMEMBERED_CLAIMS,
        "the oldest claims are removed first: {:?}",
        stored.claims
    );
    let slots: BTreeSet<_> = stored.slots.values().map(|slot| slot.claim.clone()).collect();
    assert_eq!((new.len(), new.into_iter().collect::<BTreeSet<_>>()), (8, slots));
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn heartbeat_and_takeover_exclude_each_other() {
    let (world, runner, job) = on_kite(1, JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            match number % 2 {
                0 => hear(&world, &runner, 100).await,
                _ => take_over(&world, &runner, number).await,
            }
        }
    })
    .await;
    let (came, stored) = (tally(&came), world.runner(&runner).await);
    let is_first = stored.instance == runner.instance;
    let expected = if is_first { (RACERS / 2, 0, 0) } else { (0, 1, 1) };
    assert_eq!((count(&came, "heard"), count(&came, "took over"), stored.epoch - runner.epoch), expected, "{came:?}");
    assert_eq!(stored.last_heartbeat, if is_first { at(100) } else { at(101) });
    assert_eq!(
        (stored.slots.clone(), stored.claims),
        (runner.slots.clone(), runner.claims.clone()),
        "slots and claims must not change"
    );
    // A process that took over lists no job of its predecessor.
    assert_eq!(stored.active.contains(&job.id), is_first);
    assert_eq!(world.job(&job).await, job);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn takeover_restores_no_slot_freed_by_a_finish() {
    let (world, runner, job) = on_kite(1, JobStatus::Syncing).await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move {
            match number % 2 {
                0 => finish(&world, &job, number).await,
                _ => take_over(&world, &runner, number).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    assert_eq!((count(&came, "finished"), count(&came, "took over")), (1, 1), "{came:?}");
    let stored = world.runner(&runner).await;
    assert_eq!((world.job(&job).await.status, stored.slots.len()), (JobStatus::Completed, 0));
    assert_eq!((stored.epoch, stored.claims), (runner.epoch + 1, runner.claims), "the takeover must keep all claims");
    assert_ne!(stored.instance, runner.instance);
    world.whole().await;
}

/// A sweep ends a job that the last heartbeat did not list.
async fn end_ghost(world: &World, of: &Runner) -> Result<Came, Error> {
    loop {
        let runner = world.runner(of).await;
        let Some(id) = runner.slots.keys().next() else { return Ok("ended") };
        if runner.active.contains(id) {
            return Ok("spared");
        }
        let proof = Proof::HeardLast { epoch: runner.epoch, at: runner.last_heartbeat };
        let before = world.store.job(id).await?.expect("the job exists");
        // The slot was read before another racer ended the job.
        let Ok(ended) = before.fail(sample::failure(), at(1_000)) else { continue };
        let ending = world.ending_as(&before, ended, at(1_000)).await;
        if world.store.end(&Ended { proof, ..ending.ended() }).await? == Write::Applied {
            return Ok("ended");
        }
    }
}

/// A heartbeat lists the job. Returns whether the job is still active.
async fn name_job(world: &World, runner: &Runner, job: &Job) -> Result<Came, Error> {
    assert_eq!(hear(world, runner, 100).await?, "heard");
    Ok(if world.job(job).await.status.is_active() { "kept" } else { "gone" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn job_listed_in_time_is_not_ended_as_missing() {
    let (world, runner, job) = on_kite(1, JobStatus::Executing).await;
    assert!(runner.active.is_empty(), "the runner has listed no job");
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move {
            match number % 2 {
                0 => name_job(&world, &runner, &job).await,
                _ => end_ghost(&world, &runner).await,
            }
        }
    })
    .await;
    let (came, stored, heard) = (tally(&came), world.job(&job).await, world.runner(&runner).await);
    assert_eq!((heard.last_heartbeat, heard.epoch), (at(100), runner.epoch));
    // A job that was listed in time is not ended.
    let lost = stored.status == JobStatus::Failed;
    let all = RACERS / 2;
    let (kept, ended, rev) = if lost { (0, all, job.rev + 1) } else { (all, 0, job.rev) };
    assert_eq!((count(&came, "kept"), count(&came, "ended"), stored.rev), (kept, ended, rev), "{came:?}");
    assert_eq!((heard.slots.is_empty(), lost || stored.status == JobStatus::Executing), (lost, true));
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn drain_and_heartbeat_do_not_recreate_a_removed_runner() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    let came = race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            match number % 4 {
                0 => hear(&world, &runner, 100).await,
                2 => {
                    let drain = Drain { by: "ann".into(), at: at(5), acknowledged: None };
                    world.store.set_drain(&runner, Some(&drain)).await.map(|_| "wished")
                }
                _ => remove(&world, &runner).await,
            }
        }
    })
    .await;
    assert_eq!(count(&tally(&came), "removed"), RACERS / 2, "drain and heartbeat must not block the removal");
    assert!(world.items().await.is_empty());
}

/// A runner of another token registers the name as soon as it is free.
async fn want_name(world: &World, new: &Runner) -> Result<Came, Error> {
    let profile = sample::profile(new, &new.name);
    loop {
        if world.store.register(&first_time(new, &profile)).await? == Write::Applied {
            return Ok("registered");
        }
        match world.store.runner_named(&new.name).await? {
            Some(owner) if owner == new.id => return Ok("registered"),
            Some(_) => return Ok("taken"),
            None => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runner_name_is_reused_only_after_its_removal() {
    let world = world().await;
    let gone = world.registered(&sample::runner("kite", 1)).await;
    world.applies(world.store.begin_removal(&gone)).await;
    let came = race(&world, |world, number| {
        let gone = gone.clone();
        async move {
            if number % 2 == 1 {
                return remove(&world, &gone).await;
            }
            let new = Runner {
                id: RunnerId::for_registration(&format!("token {number}"), "kite"),
                ..sample::runner("kite", 1)
            };
            want_name(&world, &new).await
        }
    })
    .await;
    let came = tally(&came);
    assert_eq!(count(&came, "removed"), RACERS / 2, "{came:?}");
    assert_eq!(world.store.runner(&gone.id).await.unwrap(), None);
    let registered = count(&came, "registered");
    assert_eq!(world.items().await.len(), 3 * registered, "refused runners must store no items");
    match world.store.runner_named("kite").await.unwrap() {
        Some(owner) => {
            assert_eq!((registered, owner == gone.id), (1, false));
            assert!(world.store.runner(&owner).await.unwrap().is_some());
            let profiles = async || world.store.runner_profiles(std::slice::from_ref(&owner)).await.unwrap();
            assert_eq!(world.in_the_end(profiles).await.len(), 1);
        }
        None => assert_eq!(registered, 0),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn silent_runner_loses_its_claimed_job_or_gets_none() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    let job = world.triggered("APP-1").await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move {
            match number % 2 {
                0 => sweep(&world, &runner, Lost::GivesUp).await,
                _ => claim(&world, &runner, &job, number).await,
            }
        }
    })
    .await;
    let (claimed, stored, gone) = (count(&tally(&came), "claimed"), world.job(&job).await, world.runner(&runner).await);
    assert_eq!((gone.status, gone.epoch, gone.slots.len()), (Presence::Offline, runner.epoch + 1, 0));
    let expected = if claimed == 1 { (JobStatus::Failed, job.rev + 2) } else { (JobStatus::Ready, job.rev) };
    assert_eq!((stored.status, stored.rev), expected, "{came:?}");
    assert_eq!(gone.claims.len(), claimed);
    world.whole().await;
}
