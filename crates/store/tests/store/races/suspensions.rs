//! Tests questions and inputs with 64 concurrent callers.

use super::use_cases::{RaceOutcome, tally};
use super::{RACERS, race, world};
use crate::sample::at;
use crate::suspensions::{SuspensionCase, new_yield, prepare_input, question};
use crate::world::{World, fence};
use pullyard_domain::job::{Job, JobStatus, Suspension, TransitionRefusal};
use pullyard_store::{Error, Write};
use std::collections::{BTreeMap, BTreeSet};

fn count_outcome(came: &BTreeMap<RaceOutcome, usize>, word: &str) -> usize {
    came.get(word).copied().unwrap_or_default()
}

/// The runner of `held` returns its job. If unread inputs refuse that, it reads them and retries.
async fn yield_job(world: &World, held: &Job, rest: Suspension, number: usize) -> Result<RaceOutcome, Error> {
    let mut words = new_yield(rest, 0, &format!("y{number}"));
    let mut read = 0;
    loop {
        let job = world.job(held).await;
        words.inputs = read;
        match job.suspend(&fence(held), &words, at(250)) {
            Ok(next) if next.status.is_terminal() => {
                let ending = world.prepare_end_of(&job, next, at(250)).await;
                if world.store.end_job(&ending.request()).await? == Write::Applied {
                    return Ok("cancelled");
                }
            }
            Ok(next) => {
                if SuspensionCase::of(world, &job, next).await.write(&world.store).await? == Write::Applied {
                    return Ok("gave back");
                }
            }
            Err(TransitionRefusal::AlreadyDone) => return Ok("gave back"),
            Err(TransitionRefusal::NewerInput) => {
                read = u32::try_from(world.store.list_inputs(&job.id, 0).await?.len()).unwrap()
            }
            Err(_) => return Ok("too late"),
        }
    }
}

/// A user sends an input, which is stored once for any number of retries.
async fn send_input(world: &World, of: &Job, number: usize) -> Result<RaceOutcome, Error> {
    let key = format!("key {number}");
    loop {
        let job = world.job(of).await;
        let known = world.store.list_inputs(&job.id, 0).await?;
        if known.iter().any(|input| input.key.as_deref() == Some(&key)) {
            return Ok("said");
        }
        if job.resume_with_input(at(300)).is_err() {
            return Ok("too late");
        }
        if prepare_input(world, &job, &format!("user {number}"), &key).await.write(&world.store).await?
            == Write::Applied
        {
            return Ok("said");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_inputs_are_stored_once_and_the_first_is_the_answer() {
    let world = world().await;
    let asking = world.questioning_job("APP-1").await;
    // Several racers share a user and a key, like retries.
    let came = race(&world, |world, number| {
        let asking = asking.clone();
        async move { send_input(&world, &asking, number % 8).await }
    })
    .await;
    assert_eq!(count_outcome(&tally(&came), "said"), RACERS);
    let inputs = world.store.list_inputs(&asking.id, 0).await.unwrap();
    let said: BTreeSet<_> = inputs.iter().map(|input| input.by.clone()).collect();
    assert_eq!((inputs.len(), said.len()), (8, 8), "{inputs:?}");
    let answers: Vec<_> = inputs.iter().filter(|input| input.question.is_some()).map(|input| input.seq).collect();
    assert_eq!(answers, [1]);
    world.check_consistency().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn job_awaits_input_only_if_its_agent_read_all_inputs() {
    let world = world().await;
    let held = world.running_job("APP-1", JobStatus::Executing).await;
    let came = race(&world, |world, number| {
        let held = held.clone();
        async move {
            match number {
                0 => yield_job(&world, &held, question(), number).await,
                number => send_input(&world, &held, number).await,
            }
        }
    })
    .await;
    let came = tally(&came);
    assert_eq!((count_outcome(&came, "gave back"), count_outcome(&came, "said")), (1, RACERS - 1), "{came:?}");
    let job = world.job(&held).await;
    let read = job.session.as_ref().unwrap().inputs;
    // The job waits only if its agent has read all inputs; any later input resumed it.
    assert_eq!(job.status == JobStatus::AwaitingInput, read == job.inputs, "{read} of {}", job.inputs);
    world.check_consistency().await;
}
