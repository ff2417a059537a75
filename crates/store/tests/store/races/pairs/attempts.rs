//! Tests task deaths, pushes and expiries that race with claims, ends and inputs.

use super::count;
use crate::races::rests::say;
use crate::races::rounds::{Came, cancel, finish, note_death, tally};
use crate::races::{RACERS, race, world};
use crate::sample::{self, at};
use crate::world::{World, fence};
use pullyard_domain::job::{Claim, DesiredState, Job, JobStatus, TransitionRefusal};
use pullyard_domain::task_stopped::{StopCause, TaskStop};
use pullyard_store::{Error, Write};

/// The death of the task that made this claim.
fn death(job: &Job, claim: &Claim) -> TaskStop {
    TaskStop {
        arn: claim.task.clone().expect("a task made the claim"),
        job: job.id.clone(),
        cause: StopCause::SpotInterruption,
        reason: "Spot interruption".into(),
    }
}

/// A task retries the claim of the attempt that it was started for.
async fn claim_as_task(world: &World, of: &Job, claim: &Claim) -> Result<Came, Error> {
    loop {
        match world.job(of).await.claim(claim, at(60)) {
            Ok(claimed) => {
                if world.store.claim(&claimed).await? == Write::Applied {
                    return Ok("claimed");
                }
            }
            Err(TransitionRefusal::AlreadyDone) => return Ok("claimed"),
            Err(_) => return Ok("refused"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dead_task_has_its_death_recorded_or_never_claims() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    let claim = sample::claim_by_task(&job, "c1");
    let stopped = death(&job, &claim);
    world.applies(world.store.update_job(&job.begin_dispatch(at(2)).unwrap())).await;
    let started = world.job(&job).await;
    let named = started.set_task(1, started.dispatch.number, &stopped.arn).unwrap();
    world.applies(world.store.update_job(&named)).await;
    let job = world.job(&job).await;
    let came = race(&world, |world, number| {
        let (job, claim, stopped) = (job.clone(), claim.clone(), stopped.clone());
        async move {
            match number % 2 {
                0 => claim_as_task(&world, &job, &claim).await,
                _ => note_death(&world, &job, &stopped).await,
            }
        }
    })
    .await;
    let (came, stored) = (tally(&came), world.job(&job).await);
    match &stored.run {
        Some(run) => {
            assert_eq!((stored.status, stored.rev, run.died.is_some()), (JobStatus::Claimed, job.rev + 2, true));
            assert_eq!(count(&came, "claimed"), RACERS / 2, "{came:?}");
        }
        None => {
            assert_eq!((stored.status, stored.rev, stored.attempt), (JobStatus::Ready, job.rev + 1, 0));
            assert_eq!(count(&came, "claimed"), 0, "{came:?}");
            assert_eq!(stored.dispatch.dead, [stopped.arn]);
            assert!(stored.dispatch.fault.is_some() && !stored.dispatch.starting, "exactly one failed start is stored");
        }
    }
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn task_death_during_a_finish_loses_no_work() {
    let world = world().await;
    let job = world.running("APP-1", JobStatus::Syncing).await;
    let stopped = death(&job, &sample::claim_by_task(&job, "c1"));
    let came = race(&world, |world, number| {
        let (job, stopped) = (job.clone(), stopped.clone());
        async move {
            match number % 2 {
                0 => finish(&world, &job, number).await,
                _ => note_death(&world, &job, &stopped).await,
            }
        }
    })
    .await;
    let (came, stored) = (tally(&came), world.job(&job).await);
    assert_eq!((stored.status, count(&came, "finished")), (JobStatus::Completed, 1), "{came:?}");
    assert!(stored.run.is_some_and(|run| run.died.is_none()), "the death must not count after the end");
    let attempt = world.store.attempt(&job.id, 1).await.unwrap().expect("the attempt is stored");
    let noted = u64::from(attempt.run.died.is_some());
    assert_eq!(stored.rev, job.rev + 1 + noted, "the death is stored once, and not after the end");
    let link = world.store.pull_request(&sample::pull_request(&job, 7).id).await.unwrap();
    assert_eq!(link.map(|link| link.rev), Some(1));
    world.whole().await;
}

/// The runner of `held` starts its push after its agent has read all inputs.
async fn push(world: &World, held: &Job) -> Result<Came, Error> {
    let mut read = 0;
    loop {
        let job = world.job(held).await;
        match job.begin_push(&fence(held), read, at(200)) {
            Ok(next) => {
                if world.store.update_job(&next).await? == Write::Applied {
                    return Ok("pushes");
                }
            }
            Err(TransitionRefusal::AlreadyDone) => return Ok("pushes"),
            Err(TransitionRefusal::NewerInput) => {
                read = u32::try_from(world.store.inputs(&job.id, 0).await?.len()).unwrap()
            }
            Err(_) => return Ok("stops"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn push_starts_before_a_cancel_or_not_at_all() {
    let world = world().await;
    let job = world.running("APP-1", JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            match number % 2 {
                0 => push(&world, &job).await,
                _ => cancel(&world, &job, number).await,
            }
        }
    })
    .await;
    let (came, stored) = (tally(&came), world.job(&job).await);
    assert_eq!((count(&came, "cancelled"), stored.want), (1, DesiredState::Cancel), "{came:?}");
    let (status, pushes) = match stored.push_until {
        Some(_) => (JobStatus::Syncing, 1),
        None => (JobStatus::Executing, 0),
    };
    assert_eq!((stored.status, stored.rev), (status, job.rev + 1 + pushes));
    assert_eq!(count(&came, "pushes"), if pushes == 1 { RACERS / 2 } else { 0 }, "{came:?}");
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn push_starts_once_and_loses_no_input() {
    let world = world().await;
    let job = world.running("APP-1", JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            match number % 2 {
                0 => push(&world, &job).await,
                _ => say(&world, &job, number).await,
            }
        }
    })
    .await;
    let (came, stored) = (tally(&came), world.job(&job).await);
    assert_eq!((count(&came, "pushes"), count(&came, "said")), (RACERS / 2, RACERS / 2), "{came:?}");
    assert_eq!((stored.status, stored.inputs as usize), (JobStatus::Syncing, RACERS / 2));
    assert_eq!(stored.rev, job.rev + 1 + RACERS as u64 / 2, "one push and each input raise the revision");
    assert!(stored.push_until.is_some());
    world.whole().await;
}

/// Ends the suspended job at its time limit.
async fn expire(world: &World, of: &Job) -> Result<Came, Error> {
    loop {
        let job = world.job(of).await;
        let now = of.suspended_until().expect("the job was suspended when it was read");
        let Ok(ended) = job.expire_suspension(now) else { return Ok("known") };
        let ending = world.ending_as(&job, ended, now).await;
        if world.store.end(&ending.ended()).await? == Write::Applied {
            return Ok("expired");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn question_is_answered_or_expires_never_both() {
    let world = world().await;
    let asking = world.asking("APP-1").await;
    let came = race(&world, |world, number| {
        let asking = asking.clone();
        async move {
            match number % 2 {
                0 => say(&world, &asking, number).await,
                _ => expire(&world, &asking).await,
            }
        }
    })
    .await;
    let (came, stored) = (tally(&came), world.job(&asking).await);
    let inputs = world.store.inputs(&asking.id, 0).await.unwrap().len();
    let active = world.ticket("APP-1").await.active_job;
    match stored.status {
        JobStatus::Ready => {
            assert_eq!((count(&came, "said"), count(&came, "expired")), (RACERS / 2, 0), "{came:?}");
            assert_eq!(inputs, RACERS / 2);
            assert_eq!((active, stored.rev), (Some(asking.id), asking.rev + RACERS as u64 / 2));
        }
        status => {
            assert_eq!((status, count(&came, "said"), inputs), (JobStatus::Failed, 0, 0), "{came:?}");
            assert_eq!((active, stored.rev), (None, asking.rev + 1));
        }
    }
    world.whole().await;
}
