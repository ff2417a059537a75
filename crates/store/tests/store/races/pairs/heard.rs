//! What is heard of a runner, whoever speaks for it, beside what it takes and loses.

use super::{count, on_kite};
use crate::races::rounds::{Came, Lost, claim, finish, hear, remove, sweep, take_over, tally};
use crate::races::{RACERS, race, world};
use crate::sample::{self, at};
use crate::world::{World, first_time};
use pullyard_domain::id::{ClaimId, RunnerId};
use pullyard_domain::job::{Job, Status};
use pullyard_domain::runner::{CLAIMS_KEPT, Drain, Presence, Runner};
use pullyard_store::{Ended, Error, Proof, Write};
use std::collections::BTreeSet;

/// Half of them heartbeats of functions that had read the runner long before, each of another time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_heard_beside_claims_takes_neither_a_slot_nor_a_newer_word_away() {
    let world = world().await;
    let old: Vec<_> = (0..CLAIMS_KEPT + 4).map(|number| ClaimId::new(format!("old-{number}")).unwrap()).collect();
    let runner = world.registered(&Runner { claims: old.clone(), ..sample::runner("kite", 8) }).await;
    let mut jobs = Vec::new();
    for number in 0..RACERS {
        jobs.push(world.created(&format!("job-{number}")).await);
    }
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), jobs[number].clone());
        // No order among the racers has anything to do with the order of their times.
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
    assert!(old.ends_with(&kept) && stored.claims.len() >= CLAIMS_KEPT, "the oldest went: {:?}", stored.claims);
    let slots: BTreeSet<_> = stored.slots.values().map(|slot| slot.claim.clone()).collect();
    assert_eq!((new.len(), new.into_iter().collect::<BTreeSet<_>>()), (8, slots));
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_silent_process_is_heard_again_or_another_one_takes_over() {
    let (world, runner, job) = on_kite(1, Status::Executing).await;
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
    assert_eq!((stored.slots.clone(), stored.claims), (runner.slots.clone(), runner.claims.clone()), "it keeps these");
    // One that took over runs nothing of that, and says so.
    assert_eq!(stored.active.contains(&job.id), is_first);
    assert_eq!(world.job(&job).await, job);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_that_takes_over_brings_no_slot_back_that_a_finish_freed() {
    let (world, runner, job) = on_kite(1, Status::Syncing).await;
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
    assert_eq!((world.job(&job).await.status, stored.slots.len()), (Status::Completed, 0));
    assert_eq!((stored.epoch, stored.claims), (runner.epoch + 1, runner.claims), "it forgets no claim");
    assert_ne!(stored.instance, runner.instance);
    world.whole().await;
}

/// A sweep ends the job that its runner did not name when it was last heard.
async fn end_ghost(world: &World, of: &Runner) -> Result<Came, Error> {
    loop {
        let runner = world.runner(of).await;
        let Some(id) = runner.slots.keys().next() else { return Ok("ended") };
        if runner.active.contains(id) {
            return Ok("spared");
        }
        let proof = Proof::HeardLast { epoch: runner.epoch, at: runner.last_heartbeat };
        let before = world.store.job(id).await?.expect("the job");
        // Its slot was read before it ended.
        let Ok(ended) = before.given_up(sample::failure(), at(1_000)) else { continue };
        let ending = world.ending_as(&before, ended, at(1_000)).await;
        if world.store.end(&Ended { proof, ..ending.ended() }).await? == Write::Applied {
            return Ok("ended");
        }
    }
}

/// The runner names its job, and looks what became of it.
async fn name_job(world: &World, runner: &Runner, job: &Job) -> Result<Came, Error> {
    assert_eq!(hear(world, runner, 100).await?, "heard");
    Ok(if world.job(job).await.status.is_active() { "kept" } else { "gone" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_that_its_runner_named_in_time_is_ended_as_no_ghost() {
    let (world, runner, job) = on_kite(1, Status::Executing).await;
    assert!(runner.active.is_empty(), "it has named nothing");
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
    // Once it was named in time, nobody ends it.
    let lost = stored.status == Status::Failed;
    let all = RACERS / 2;
    let (kept, ended, rev) = if lost { (0, all, job.rev + 1) } else { (all, 0, job.rev) };
    assert_eq!((count(&came, "kept"), count(&came, "ended"), stored.rev), (kept, ended, rev), "{came:?}");
    assert_eq!((heard.slots.is_empty(), lost || stored.status == Status::Executing), (lost, true));
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn neither_a_wish_to_drain_nor_a_heartbeat_brings_a_removed_runner_back() {
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
    assert_eq!(count(&tally(&came), "removed"), RACERS / 2, "nothing of that stands in its way");
    assert!(world.items().await.is_empty());
}

/// A runner of another token wants the name, and has it as soon as nobody else does.
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
async fn a_name_is_its_next_runners_only_once_it_is_nobodys_and_stays_that() {
    let world = world().await;
    let gone = world.registered(&sample::runner("kite", 1)).await;
    world.applies(world.store.begin_removal(&gone)).await;
    let came = race(&world, |world, number| {
        let gone = gone.clone();
        async move {
            if number % 2 == 1 {
                return remove(&world, &gone).await;
            }
            let new = Runner { id: RunnerId::of(&format!("token {number}"), "kite"), ..sample::runner("kite", 1) };
            want_name(&world, &new).await
        }
    })
    .await;
    let came = tally(&came);
    assert_eq!(count(&came, "removed"), RACERS / 2, "{came:?}");
    assert_eq!(world.store.runner(&gone.id).await.unwrap(), None);
    let registered = count(&came, "registered");
    assert_eq!(world.items().await.len(), 3 * registered, "nothing of those that did not get it");
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
async fn a_runner_that_falls_silent_loses_the_job_that_it_claimed_or_gets_none() {
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
    let expected = if claimed == 1 { (Status::Failed, job.rev + 2) } else { (Status::Ready, job.rev) };
    assert_eq!((stored.status, stored.rev), expected, "{came:?}");
    assert_eq!(gone.claims.len(), claimed);
    world.whole().await;
}
