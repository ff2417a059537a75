//! Tests pauses, questions and answers with 32 concurrent callers of each.

use super::rounds::{Came, cancel, claim, finish, tally};
use super::{RACERS, race, winner, world};
use crate::rests::{Resting, asks, telling, yielded};
use crate::sample::{self, at};
use crate::world::{World, fence};
use pullyard_domain::job::{DesiredState, Job, JobStatus, Pause, Suspension, TransitionRefusal};
use pullyard_store::{Error, Write};
use std::collections::{BTreeMap, BTreeSet};

fn count(came: &BTreeMap<Came, usize>, word: &str) -> usize {
    came.get(word).copied().unwrap_or_default()
}

/// The runner of `held` returns its job. If unread inputs refuse that, it reads them and retries.
pub(super) async fn give_back(world: &World, held: &Job, rest: Suspension, number: usize) -> Result<Came, Error> {
    let mut words = yielded(rest, 0, &format!("y{number}"));
    let mut read = 0;
    loop {
        let job = world.job(held).await;
        words.inputs = read;
        match job.suspend(&fence(held), &words, at(250)) {
            Ok(next) if next.status.is_terminal() => {
                let ending = world.ending_as(&job, next, at(250)).await;
                if world.store.end(&ending.ended()).await? == Write::Applied {
                    return Ok("cancelled");
                }
            }
            Ok(next) => {
                if Resting::of(world, &job, next).await.write(&world.store).await? == Write::Applied {
                    return Ok("gave back");
                }
            }
            Err(TransitionRefusal::AlreadyDone) => return Ok("gave back"),
            Err(TransitionRefusal::NewerInput) => {
                read = u32::try_from(world.store.inputs(&job.id, 0).await?.len()).unwrap()
            }
            Err(_) => return Ok("too late"),
        }
    }
}

/// A user sends an input, which is stored once for any number of retries.
pub(super) async fn say(world: &World, of: &Job, number: usize) -> Result<Came, Error> {
    let key = format!("key {number}");
    loop {
        let job = world.job(of).await;
        let known = world.store.inputs(&job.id, 0).await?;
        if known.iter().any(|input| input.key.as_deref() == Some(&key)) {
            return Ok("said");
        }
        if job.resume_with_input(at(300)).is_err() {
            return Ok("too late");
        }
        if telling(world, &job, &format!("user {number}"), &key).await.write(&world.store).await? == Write::Applied {
            return Ok("said");
        }
    }
}

async fn pause(world: &World, of: &Job, number: usize) -> Result<Came, Error> {
    loop {
        let job = world.job(of).await;
        let by = format!("user {number}");
        let next = match job.pause(Pause::new(&by, at(240)), at(240)) {
            Ok(next) => next,
            Err(TransitionRefusal::AlreadyDone) => return Ok("paused"),
            Err(_) => return Ok("too late"),
        };
        if Resting::of(world, &job, next).await.write(&world.store).await? == Write::Applied {
            return Ok("paused");
        }
    }
}

async fn go_on(world: &World, of: &Job) -> Result<Came, Error> {
    loop {
        let job = world.job(of).await;
        let next = match job.resume(at(400)) {
            Ok(next) => next,
            Err(TransitionRefusal::AlreadyDone) => return Ok("goes on"),
            Err(_) => return Ok("too late"),
        };
        if Resting::of(world, &job, next).await.write(&world.store).await? == Write::Applied {
            return Ok("goes on");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_answers_to_one_question_resumes_the_job() {
    let world = world().await;
    let asking = world.asking("APP-1").await;
    let answers = race(&world, |world, number| {
        let asking = asking.clone();
        async move {
            let key = format!("key {number}");
            let write = telling(&world, &asking, &format!("user {number}"), &key).await;
            world.store.rest(&write.rested()).await
        }
    })
    .await;
    let won = winner(&answers);
    let inputs = world.store.inputs(&asking.id, 0).await.unwrap();
    assert_eq!(inputs.iter().map(|input| input.by.clone()).collect::<Vec<_>>(), [format!("user {won}")]);
    assert_eq!(world.job(&asking).await.status, JobStatus::Ready);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_inputs_are_stored_once_and_the_first_is_the_answer() {
    let world = world().await;
    let asking = world.asking("APP-1").await;
    // Several racers share a user and a key, like retries.
    let came = race(&world, |world, number| {
        let asking = asking.clone();
        async move { say(&world, &asking, number % 8).await }
    })
    .await;
    assert_eq!(count(&tally(&came), "said"), RACERS);
    let inputs = world.store.inputs(&asking.id, 0).await.unwrap();
    let said: BTreeSet<_> = inputs.iter().map(|input| input.by.clone()).collect();
    assert_eq!((inputs.len(), said.len()), (8, 8), "{inputs:?}");
    let answers: Vec<_> = inputs.iter().filter(|input| input.question.is_some()).map(|input| input.seq).collect();
    assert_eq!(answers, [1]);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn job_awaits_input_only_if_its_agent_read_all_inputs() {
    let world = world().await;
    let held = world.running("APP-1", JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let held = held.clone();
        async move {
            match number {
                0 => give_back(&world, &held, asks(), number).await,
                number => say(&world, &held, number).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    assert_eq!((count(&came, "gave back"), count(&came, "said")), (1, RACERS - 1), "{came:?}");
    let job = world.job(&held).await;
    let read = job.session.as_ref().unwrap().inputs;
    // The job waits only if its agent has read all inputs; any later input resumed it.
    assert_eq!(job.status == JobStatus::AwaitingInput, read == job.inputs, "{read} of {}", job.inputs);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn finish_during_a_pause_completes_the_job() {
    let world = world().await;
    let held = world.running("APP-1", JobStatus::Syncing).await;
    let came = race(&world, |world, number| {
        let held = held.clone();
        async move {
            match number % 2 {
                0 => finish(&world, &held, number).await,
                _ => pause(&world, &held, number).await,
            }
        }
    })
    .await;
    assert_eq!(count(&tally(&came), "finished"), 1);
    let job = world.job(&held).await;
    assert_eq!((job.status, job.want, job.pause), (JobStatus::Completed, DesiredState::Run, None));
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancel_wins_over_pause_and_resume() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    pause(&world, &job, 0).await.unwrap();
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            match number % 4 {
                0 => cancel(&world, &job, number).await,
                1 => pause(&world, &job, number).await,
                _ => go_on(&world, &job).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    let job = world.job(&job).await;
    assert_eq!((job.status, count(&came, "cancelled")), (JobStatus::Cancelled, 1), "{came:?}");
    assert_eq!((world.ticket("APP-1").await.active_job, job.pause), (None, None));
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn withdrawn_pause_leaves_the_job_ready_or_claimed() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    let held = world.running_on(&runner, "APP-1", JobStatus::Executing).await;
    pause(&world, &held, 0).await.unwrap();
    let came = race(&world, |world, number| {
        let (held, runner) = (held.clone(), runner.clone());
        async move {
            match number % 4 {
                0 => give_back(&world, &held, Suspension::Pause, number).await,
                1 => claim(&world, &runner, &held, number).await,
                _ => go_on(&world, &held).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    assert_eq!(count(&came, "gave back"), 1, "{came:?}");
    let job = world.job(&held).await;
    // A resume came before or after the pause, so the job is not suspended.
    assert!(matches!(job.status, JobStatus::Ready | JobStatus::Claimed), "{:?} {came:?}", job.status);
    assert_eq!((job.want, job.pause.as_ref()), (DesiredState::Run, None));
    world.whole().await;
}
