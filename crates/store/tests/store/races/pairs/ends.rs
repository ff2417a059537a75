//! Tests finishes that race with other ends of the job and with late results.

use super::{count, on_kite};
use crate::races::race;
use crate::races::rounds::{Lost, cancel, finish, finish_or_come_late, sweep, tally};
use crate::sample;
use pullyard_domain::job::{AttemptEnd, DesiredState, JobStatus};
use pullyard_domain::runner::Presence;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn job_is_finished_or_lost_with_its_runner_never_both() {
    let (world, runner, job) = on_kite(1, JobStatus::Syncing).await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move {
            match number % 2 {
                0 => finish(&world, &job, number).await,
                _ => sweep(&world, &runner, Lost::GivesUp).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    world.whole().await;
    let (stored, gone) = (world.job(&job).await, world.runner(&runner).await);
    assert_eq!((gone.status, gone.epoch, gone.slots.len()), (Presence::Offline, runner.epoch + 1, 0));
    let finished = count(&came, "finished");
    assert!(finished <= 1 && count(&came, "took away") <= 1 - finished, "{came:?}");
    assert_eq!(stored.rev, job.rev + 1);
    let link = world.store.pull_request(&sample::pull_request(&job, 7).id).await.unwrap();
    assert_eq!(link.is_some(), finished == 1);
    match stored.ended_by.and_then(|by| by.finish) {
        Some(_) => assert_eq!((stored.status, finished), (JobStatus::Completed, 1)),
        None => assert_eq!((stored.status, finished), (JobStatus::Failed, 0)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pushed_result_ends_the_job_or_is_stored_as_late() {
    let (world, runner, job) = on_kite(1, JobStatus::Syncing).await;
    let came = race(&world, |world, number| {
        let (runner, job) = (runner.clone(), job.clone());
        async move {
            match number % 2 {
                0 => finish_or_come_late(&world, &job, number).await,
                _ => sweep(&world, &runner, Lost::PutsBack).await,
            }
        }
    })
    .await;
    let finished = count(&tally(&came), "finished");
    world.whole().await;
    let stored = world.job(&job).await;
    let attempt = world.store.attempt(&job.id, 1).await.unwrap().expect("the attempt is stored");
    let link = world.store.pull_request(&sample::pull_request(&job, 7).id).await.unwrap();
    assert_eq!(link.map(|link| link.rev), Some(1), "the pull request is linked once");
    let late = world.item(&format!("JOB#{}", job.id), "ATTEMPT#0001").await.contains_key("late_result");
    match stored.status {
        JobStatus::Completed => {
            assert_eq!((finished, stored.requeues, attempt.ended), (1, 0, AttemptEnd::Completed {}))
        }
        status => {
            assert_eq!((status, finished, stored.requeues, late), (JobStatus::Ready, 0, 1, true));
            assert!(matches!(attempt.ended, AttemptEnd::Requeued { .. }), "{attempt:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn finish_and_cancel_end_a_job_once() {
    let (world, _, job) = on_kite(1, JobStatus::Syncing).await;
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            match number % 2 {
                0 => finish(&world, &job, number).await,
                _ => cancel(&world, &job, number).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    world.whole().await;
    let stored = world.job(&job).await;
    assert_eq!(
        (stored.status, count(&came, "finished")),
        (JobStatus::Completed, 1),
        "a pushed result takes precedence over a cancel"
    );
    assert_eq!((stored.want, stored.cancel.is_some()), (DesiredState::Run, false), "the cancel must leave no trace");
    assert!(count(&came, "cancelled") <= 1, "{came:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pull_request_is_linked_once_by_end_or_late_result() {
    let (world, _, job) = on_kite(1, JobStatus::Syncing).await;
    race(&world, |world, number| {
        let job = job.clone();
        async move {
            match number % 2 {
                0 => finish(&world, &job, number).await,
                _ => world.store.link_if_unlinked(&sample::pull_request(&job, 7)).await.map(|_| "linked"),
            }
        }
    })
    .await;
    world.whole().await;
    assert_eq!(world.job(&job).await.status, JobStatus::Completed, "a late link must not block the end");
    let link = world.store.pull_request(&sample::pull_request(&job, 7).id).await.unwrap().unwrap();
    assert!(link.rev <= 2, "the link and the end raise the revision: {}", link.rev);
    assert_eq!((link.job, link.ticket), (Some(job.id), job.ticket));
}
