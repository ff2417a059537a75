//! Tests every form of a job's end, requeue and suspension, and the conditions on its runner.

use super::forms::{count, forms, number, set, text};
use super::{RUNS, Whole, by_a_runner, check};
use crate::fleet::offline;
use crate::reviews::linked;
use crate::sample::{self, at};
use crate::world::{Ending, World, failed, requeue_of};
use pullyard_domain::job::Job;
use pullyard_store::{Ended, Error, Proof, Rested, Write};

/// An end with or without the ticket, the returned reservation, and the pull request.
fn ended(ending: &Ending, [with_ticket, charged, with_link]: [bool; 3]) -> Ended<'_> {
    let whole = ending.ended();
    Ended {
        ticket: whole.ticket.filter(|_| with_ticket),
        returned: whole.returned.filter(|_| charged),
        pull_request: whole.pull_request.filter(|_| with_link),
        ..whole
    }
}

#[tokio::test]
async fn job_end_is_refused_by_each_changed_item() {
    for [with_ticket, charged, with_link, linked_before] in forms() {
        if linked_before && !with_link {
            continue;
        }
        for (runs, beside) in RUNS {
            let prepare = async || {
                let world = World::new().await;
                if linked_before {
                    world.applies(world.store.link_if_unlinked(&linked())).await;
                }
                let job = runs(&world).await;
                let ending = world.completing(&job).await;
                (world, ending)
            };
            let form = [with_ticket, charged, with_link];
            let write = async |world: &World, ending: &Ending| world.store.end(&ended(ending, form)).await;
            check(prepare, write, (2 + count(&form), beside)).await;
        }
    }
}

#[tokio::test]
async fn end_of_an_unclaimed_job_is_refused_by_each_changed_item() {
    for [with_ticket, charged] in forms() {
        let prepare = async || {
            let world = World::new().await;
            let whole = Whole::of(&world).await;
            world.applies(whole.write(&world)).await;
            let job = world.job(&whole.job).await;
            let ending = world.ending(&job, failed(), at(180)).await;
            (world, ending)
        };
        let write = async |world: &World, ending: &Ending| {
            assert_eq!((&ending.attempt, &ending.pull_request), (&None, &None));
            world.store.end(&ended(ending, [with_ticket, charged, false])).await
        };
        check(prepare, write, (1 + count(&[with_ticket, charged]), &[])).await;
    }
}

/// A write that takes a job from a runner.
#[derive(Clone, Copy, Debug)]
enum Taking {
    /// An end, with or without the ticket, the returned reservation, and the pull request.
    End([bool; 3]),
    Requeue,
    Rest {
        with_ticket: bool,
    },
}

impl Taking {
    async fn write(self, world: &World, before: &Job, proof: Proof) -> Result<Write, Error> {
        let (requeued, attempt) = requeue_of(before);
        match self {
            Self::End(form) => {
                let ending = world.completing(before).await;
                world.store.end(&Ended { proof, ..ended(&ending, form) }).await
            }
            Self::Requeue => world.store.requeue(before, &requeued, &attempt, proof).await,
            Self::Rest { with_ticket } => {
                let ticket = world.ticket("APP-1").await;
                let ticket = with_ticket.then_some(&ticket);
                let rested = Rested { before, job: &requeued, attempt: Some(&attempt), ticket, input: None, proof };
                world.store.rest(&rested).await
            }
        }
    }
}

#[tokio::test]
async fn job_loss_needs_a_valid_runner_proof_in_every_form() {
    let others = [Taking::Requeue, Taking::Rest { with_ticket: false }, Taking::Rest { with_ticket: true }];
    for taking in forms().map(Taking::End).chain(others) {
        for silent in [false, true] {
            let prepare = async || {
                let world = World::new().await;
                let job = by_a_runner(&world).await;
                let runner = world.runner(&sample::runner("kite", 2)).await;
                let proof = if silent {
                    let gone = offline(&runner);
                    world.applies(world.store.take_offline(&runner, &gone)).await;
                    Proof::Offline { epoch: gone.epoch }
                } else {
                    Proof::HeardLast { epoch: runner.epoch, at: runner.last_heartbeat }
                };
                (world, job, proof)
            };
            let other = if silent { ("status", text("online")) } else { ("last_heartbeat", number(1)) };
            for (attribute, value) in [("epoch", number(99)), other] {
                let (world, job, proof) = prepare().await;
                set(&world, ("RUNNERS#", ""), attribute, value).await;
                println!("{taking:?}, {proof:?}, {attribute}");
                world.refuses(taking.write(&world, &job, proof)).await;
            }
            let (world, job, proof) = prepare().await;
            world.applies(taking.write(&world, &job, proof)).await;
        }
    }
}

#[tokio::test]
async fn job_is_not_taken_from_a_missing_runner() {
    for taking in [Taking::End([true; 3]), Taking::Requeue, Taking::Rest { with_ticket: true }] {
        let world = World::new().await;
        let job = by_a_runner(&world).await;
        world.lose("RUNNERS#", "").await;
        println!("{taking:?}");
        world.refuses(taking.write(&world, &job, Proof::Nothing)).await;
    }
}
