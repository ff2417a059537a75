//! Tests claims and dispatches that race with other changes of the same job or runner.

use super::{count, on_kite};
use crate::races::rounds::{cancel, claim, finish, tally};
use crate::races::{RACERS, race, world};
use crate::sample::{self, at};
use pullyard_domain::job::{DesiredState, JobStatus, Placement};
use pullyard_domain::project::Compute;
use pullyard_domain::runner::{Drain, Presence};
use pullyard_store::Write;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claim_racing_a_cancel_is_stopped_or_never_granted() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 2)).await;
    let job = world.triggered("APP-1").await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move {
            match number % 2 {
                0 => claim(&world, &runner, &job, number).await,
                _ => cancel(&world, &job, number).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    world.whole().await;
    let stored = world.job(&job).await;
    assert!(stored.cancel.is_some() && count(&came, "cancelled") == 1, "{came:?}");
    let (status, want) = (stored.status, stored.want);
    match count(&came, "claimed") {
        0 => assert_eq!((status, want), (JobStatus::Cancelled, DesiredState::Run)),
        claimed => assert_eq!((status, want, claimed), (JobStatus::Claimed, DesiredState::Cancel, 1)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn drained_runner_claims_no_further_job() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    let (job, other) = (world.triggered("APP-1").await, world.triggered("APP-2").await);
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), if number % 4 == 0 { job.clone() } else { other.clone() });
        async move {
            if number % 2 == 0 {
                return claim(&world, &runner, &job, number).await;
            }
            let drain = Drain { by: "ann".into(), at: at(5), acknowledged: None };
            assert_eq!(world.store.set_drain(&runner, Some(&drain)).await?, Write::Applied);
            Ok("drained")
        }
    })
    .await;
    let (stored, claimed) = (world.runner(&runner).await, count(&tally(&came), "claimed"));
    assert!(stored.is_draining() && claimed <= 1, "{came:?}");
    assert_eq!(stored.slots.len(), claimed);
    world.whole().await;
    assert_eq!(claim(&world, &runner, &world.triggered("APP-3").await, 99).await.unwrap(), "closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn removed_runner_leaves_no_job_behind() {
    let (world, runner, job) = on_kite(2, JobStatus::Syncing).await;
    let other = world.triggered("APP-2").await;
    race(&world, |world, number| {
        let (runner, job, other) = (runner.clone(), job.clone(), other.clone());
        async move {
            match number % 4 {
                0 => finish(&world, &job, number).await,
                1 => claim(&world, &runner, &other, number).await,
                2 => world.store.begin_removal(&runner).await.map(|_| "begun"),
                _ => world.store.remove_runner(&runner).await.map(|_| "removed"),
            }
        }
    })
    .await;
    world.whole().await;
    assert_eq!(world.job(&job).await.status, JobStatus::Completed);
    let (left, name) = (world.store.runner(&runner.id).await.unwrap(), world.store.runner_named("kite").await.unwrap());
    let profiles = async || world.store.runner_profiles(std::slice::from_ref(&runner.id)).await.unwrap();
    let profile = world.in_the_end(profiles).await.pop();
    assert_eq!(
        (name.is_some(), profile.is_some()),
        (left.is_some(), left.is_some()),
        "runner, name and profile are removed together"
    );
    match left {
        None => assert_eq!(world.job(&other).await.status, JobStatus::Ready, "no runner has claimed the other job"),
        Some(left) => {
            assert_eq!(left.status, Presence::Deleting);
            let holds = left.slots.contains_key(&other.id);
            assert_eq!(world.job(&other).await.status == JobStatus::Claimed, holds);
            // No removal was tried after the last slot was freed.
            let removed = world.store.remove_runner(&left).await.unwrap();
            assert_eq!(removed == Write::Applied, !holds);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn orphaned_slot_is_dropped_during_claims() {
    let (world, runner, job) = on_kite(2, JobStatus::Executing).await;
    let (slot, other) = (runner.slots[&job.id].clone(), world.triggered("APP-2").await);
    world.lose("TICKET#acme#APP-1", "TICKET").await;
    world.lose(&format!("JOB#{}", job.id), "JOB").await;
    let came = race(&world, |world, number| {
        let (runner, job, slot, other) = (runner.clone(), job.clone(), slot.clone(), other.clone());
        async move {
            match number % 2 {
                0 => world.store.drop_slot(&runner, &job.id, &slot).await.map(|_| "emptied"),
                _ => claim(&world, &runner, &other, number).await,
            }
        }
    })
    .await;
    assert_eq!(count(&tally(&came), "claimed"), 1, "the runner had a free slot all the time");
    let slots = world.runner(&runner).await.slots;
    assert_eq!(slots.into_keys().collect::<Vec<_>>(), [other.id]);
    world.whole().await;
}

/// A job waits on Fargate and its task claims it, while its project switches to runners.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn job_moved_to_runners_is_not_claimed_by_its_task() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            let claim = sample::claim_by_task(&job, &format!("c{number}"));
            let next =
                if number % 2 == 0 { job.move_to(Placement::Runners, at(70)) } else { job.claim(&claim, at(70)) };
            let next = next.expect("the job is Ready");
            let written = match number % 2 {
                0 => world.store.update_job(&next).await?,
                _ => world.store.claim(&next).await?,
            };
            Ok(if written == Write::Applied { ["placed", "claimed"][number % 2] } else { "stale" })
        }
    })
    .await;
    assert_eq!(count(&tally(&came), "stale"), RACERS - 1);
    let stored = world.job(&job).await;
    let expected = if came.contains(&"placed") { JobStatus::Ready } else { JobStatus::Claimed };
    assert_eq!((stored.status, stored.place == Placement::Runners), (expected, expected == JobStatus::Ready));
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn job_is_moved_to_runners_or_dispatched_never_both() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    let came = race(&world, |world, number| {
        let id = job.clone();
        async move {
            loop {
                let job = world.job(&id).await;
                let next = match number % 2 {
                    0 => job.move_to(Placement::Runners, at(70)),
                    _ => job.begin_dispatch(at(70)),
                };
                let Ok(next) = next else { return Ok("refused") };
                if world.store.update_job(&next).await? == Write::Applied {
                    return Ok(["placed", "started"][number % 2]);
                }
            }
        }
    })
    .await;
    let (came, stored) = (tally(&came), world.job(&job).await);
    assert!(count(&came, "placed") + count(&came, "started") <= 1, "{came:?}");
    assert_ne!(stored.place == Placement::Runners, stored.dispatch.starting);
    assert_eq!(stored.rev, job.rev + 1);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_racing_claim_gets_the_job_and_removes_its_row() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 2)).await;
    let job = sample::job_at("one", Compute::Runners, at(0));
    world.applies(world.store.trigger(&crate::world::alone(&job))).await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move { claim(&world, &runner, &job, number).await }
    })
    .await;
    assert_eq!(count(&tally(&came), "claimed"), 1);
    world.whole().await;
    let ready = world.in_the_end(async || world.store.ready(&job.class, 10).await.unwrap()).await;
    assert!(ready.is_empty(), "{ready:?}");
}
