//! Tests heartbeats and drain requests that race with decisions about silence.

use super::{count, on_kite};
use crate::races::rests::give_back;
use crate::races::rounds::{Came, Lost, sweep, tally};
use crate::races::{RACERS, race, world};
use crate::rests::asks;
use crate::sample::{self, at};
use crate::world::{World, first_time};
use pullyard_domain::id::InstanceId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::runner::{Drain, Heartbeat, Presence, Runner};
use pullyard_store::{Error, Registered, Sweeps, Write};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runner_with_a_timely_heartbeat_keeps_its_job() {
    let (world, runner, job) = on_kite(1, JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            if number % 2 == 1 {
                return sweep(&world, &runner, Lost::GivesUp).await;
            }
            loop {
                let seen = world.runner(&runner).await;
                if world.store.heartbeat(&seen, &crate::fleet::heard(&seen, 100)).await? == Write::Applied {
                    return Ok("heard");
                }
            }
        }
    })
    .await;
    assert_eq!(count(&tally(&came), "heard"), RACERS / 2);
    world.whole().await;
    let (stored, back) = (world.job(&job).await, world.runner(&runner).await);
    assert_eq!((back.status, back.last_heartbeat), (Presence::Online, at(100)));
    // The job ended before the heartbeat or not at all.
    let lost = stored.status == JobStatus::Failed;
    assert!(lost || stored.status == JobStatus::Executing, "{stored:?}");
    assert!(!lost || back.epoch == runner.epoch + 1, "only an Offline runner loses its job");
    assert_eq!(back.slots.is_empty(), lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn drain_is_acknowledged_only_by_a_heartbeat_that_read_it() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    race(&world, |world, number| {
        let seen = runner.clone();
        async move {
            if number % 2 == 1 {
                let drain = Drain { by: "ann".into(), at: at(5), acknowledged: None };
                return world.store.set_drain(&seen, Some(&drain)).await.map(|_| ());
            }
            loop {
                let seen = world.runner(&seen).await;
                // A daemon sends `draining` after it has received the drain request.
                let draining = seen.drain.is_some();
                let said = Heartbeat {
                    instance: seen.instance.clone(),
                    active_jobs: BTreeSet::new(),
                    draining,
                    is_sign_off: false,
                };
                let heard = seen.with_heartbeat(said, at(100)).expect("the heartbeat is from the registered process");
                if world.store.heartbeat(&seen, &heard).await? == Write::Applied {
                    return Ok(());
                }
            }
        }
    })
    .await;
    let stored = world.runner(&runner).await;
    let acknowledged = stored.drain.as_ref().expect("the drain request is stored").acknowledged;
    assert!(stored.draining || acknowledged.is_none(), "an unread drain request was acknowledged: {stored:?}");
    let said = Heartbeat {
        instance: stored.instance.clone(),
        active_jobs: BTreeSet::new(),
        draining: true,
        is_sign_off: false,
    };
    world.applies(world.store.heartbeat(&stored, &stored.with_heartbeat(said, at(110)).unwrap())).await;
    assert!(world.runner(&runner).await.drain.unwrap().acknowledged.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn takeover_keeps_the_drain_request() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            if number % 2 == 1 {
                let drain = Drain { by: "ann".into(), at: at(5), acknowledged: None };
                return world.store.set_drain(&runner, Some(&drain)).await.map(|_| ());
            }
            loop {
                let seen = world.runner(&runner).await;
                let instance = InstanceId::new(format!("newcomer-{number}")).expect("a valid instance id");
                if seen.instance != runner.instance {
                    return Ok(());
                }
                let new = Runner { instance, epoch: seen.epoch + 1, ..seen.clone() };
                let profile = sample::profile(&new, &new.name);
                world.store.register(&Registered { seen: Some(&seen), ..first_time(&new, &profile) }).await?;
            }
        }
    })
    .await;
    let stored = world.runner(&runner).await;
    assert!(stored.drain.is_some(), "{stored:?}");
    assert_eq!(stored.epoch, runner.epoch + 1, "exactly one process took over");
}

/// Stores the drain request of one of 32 users.
async fn wish(world: &World, runner: &Runner, number: usize) -> Result<Came, Error> {
    let drain = Drain { by: format!("user {number}"), at: at(5), acknowledged: None };
    world.store.set_drain(runner, Some(&drain)).await.map(|_| "wished")
}

/// Asserts that the drain request of a user is stored and not acknowledged.
fn check_wish(runner: &Runner) {
    let drain = runner.drain.as_ref().expect("the drain request is stored");
    assert!(drain.by.starts_with("user ") && drain.at == at(5) && drain.acknowledged.is_none(), "{drain:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn drain_request_survives_an_offline_mark() {
    let (world, runner, job) = on_kite(1, JobStatus::Executing).await;
    race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            match number % 2 {
                0 => sweep(&world, &runner, Lost::GivesUp).await,
                _ => wish(&world, &runner, number).await,
            }
        }
    })
    .await;
    let gone = world.runner(&runner).await;
    assert_eq!((gone.status, gone.epoch, gone.slots.len()), (Presence::Offline, runner.epoch + 1, 0));
    check_wish(&gone);
    assert_eq!(world.job(&job).await.status, JobStatus::Failed);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn drain_request_survives_a_returned_job() {
    let (world, runner, job) = on_kite(1, JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move {
            match number % 2 {
                0 => give_back(&world, &job, asks(), number).await,
                _ => wish(&world, &runner, number).await,
            }
        }
    })
    .await;
    assert_eq!(count(&tally(&came), "gave back"), 1, "{came:?}");
    let stored = world.runner(&runner).await;
    assert_eq!((stored.status, stored.epoch, stored.slots.len()), (Presence::Online, runner.epoch, 0));
    check_wish(&stored);
    assert_eq!(world.job(&job).await.status, JobStatus::AwaitingInput);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_sweepers_requeue_each_job_once() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 3)).await;
    let mut jobs = Vec::new();
    for number in 0..3 {
        let job = world.triggered(&format!("APP-{number}")).await;
        let claim = sample::claim_by(&runner, &job, &format!("c{number}"));
        jobs.push(world.claimed(&job, &claim).await);
    }
    let runner = world.runner(&runner).await;
    race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            sweep(&world, &runner, Lost::PutsBack).await?;
            let round = Sweeps { at: at(number as u64), ready_at: at(0), since: None, gauges: None };
            world.store.put_sweeps(&round).await
        }
    })
    .await;
    world.whole().await;
    let gone = world.runner(&runner).await;
    assert_eq!((gone.status, gone.epoch, gone.slots.len()), (Presence::Offline, runner.epoch + 1, 0));
    for job in &jobs {
        let stored = world.job(job).await;
        assert_eq!((stored.status, stored.requeues, stored.rev), (JobStatus::Ready, 1, job.rev + 1));
    }
    assert_eq!(world.store.sweeps().await.unwrap().unwrap().at, at(RACERS as u64 - 1), "the latest sweep is stored");
}
