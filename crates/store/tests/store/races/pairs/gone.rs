//! Tests silent runners that race with their offline mark, takeover and removal.

use super::{count, on_kite};
use crate::races::rounds::{Lost, finish_as, remove, sweep, take_over, tally};
use crate::races::{RACERS, race};
use crate::sample::at;
use crate::world::failed;
use pullyard_domain::job::JobStatus;
use pullyard_domain::runner::Presence;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runner_removed_during_silence_loses_its_job_or_waits() {
    let (world, runner, job) = on_kite(1, JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            match number % 2 {
                0 => sweep(&world, &runner, Lost::GivesUp).await,
                _ => remove(&world, &runner).await,
            }
        }
    })
    .await;
    let (came, stored) = (tally(&came), world.job(&job).await);
    match world.store.runner(&runner.id).await.unwrap() {
        None => assert_eq!((stored.status, count(&came, "removed")), (JobStatus::Failed, RACERS / 2), "{came:?}"),
        Some(left) => {
            // After the start of a removal, no sweep ends a job for silence.
            let as_it_was = (Presence::Deleting, &runner.slots, runner.claims.as_slice());
            assert_eq!((left.status, &left.slots, left.claims.as_slice()), as_it_was);
            assert_eq!((&stored, count(&came, "busy")), (&job, RACERS / 2), "{came:?}");
            world.whole().await;
            assert_eq!(finish_as(&world, &job, 0, failed()).await.unwrap(), "finished");
            assert_eq!(remove(&world, &runner).await.unwrap(), "removed");
        }
    }
    assert_eq!(world.store.runner_named("kite").await.unwrap(), None);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn takeover_during_silence_keeps_the_job_or_finds_it_lost() {
    let (world, runner, job) = on_kite(1, JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            match number % 2 {
                0 => sweep(&world, &runner, Lost::GivesUp).await,
                _ => take_over(&world, &runner, number).await,
            }
        }
    })
    .await;
    let (came, stored, new) = (tally(&came), world.job(&job).await, world.runner(&runner).await);
    assert_eq!((count(&came, "took over"), new.instance == runner.instance), (1, false), "{came:?}");
    assert_eq!((new.status, new.last_heartbeat), (Presence::Online, at(101)));
    // A decision for the earlier process is written before the takeover or not at all.
    let was_offline = new.epoch == runner.epoch + 2;
    assert!(was_offline || new.epoch == runner.epoch + 1, "{} after {}", new.epoch, runner.epoch);
    let lost = stored.status == JobStatus::Failed;
    assert!(was_offline || !lost, "only an Offline runner loses its job");
    assert_eq!((new.slots.is_empty(), lost || stored == job), (lost, true));
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn takeover_neither_stops_a_removal_nor_loses_the_job() {
    let (world, runner, job) = on_kite(1, JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let runner = runner.clone();
        async move {
            match number % 2 {
                0 => remove(&world, &runner).await,
                _ => take_over(&world, &runner, number).await,
            }
        }
    })
    .await;
    let (came, left) = (tally(&came), world.runner(&runner).await);
    // A takeover before the removal is removed as well; a later one is refused.
    let new = u32::from(left.instance != runner.instance);
    assert_eq!((count(&came, "busy"), count(&came, "took over")), (RACERS / 2, new as usize), "{came:?}");
    assert_eq!((left.status, left.epoch), (Presence::Deleting, runner.epoch + 1 + new));
    assert_eq!((left.slots, left.claims), (runner.slots.clone(), runner.claims.clone()));
    assert_eq!(world.job(&job).await, job);
    world.whole().await;
}
