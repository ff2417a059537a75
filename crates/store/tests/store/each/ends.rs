//! What takes a job away, in each form: its end, a requeue, a rest; and what each proof says of its runner.

use super::forms::{count, forms, number, set, text};
use super::{RUNS, Whole, by_a_runner, check};
use crate::fleet::offline;
use crate::reviews::linked;
use crate::sample::{self, at};
use crate::world::{Ending, World, failed, requeue_of};
use pullyard_domain::job::Job;
use pullyard_store::{Ended, Error, Proof, Rested, Write};

#[tokio::test]
async fn a_job_ends_in_each_form_over_nothing_that_others_changed() {
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
            let write = async |world: &World, ending: &Ending| {
                let ended = ending.ended();
                let ended = Ended {
                    ticket: ended.ticket.filter(|_| with_ticket),
                    returned: ended.returned.filter(|_| charged),
                    pull_request: ended.pull_request.filter(|_| with_link),
                    ..ended
                };
                world.store.end(&ended).await
            };
            check(prepare, write, (2 + count(&[with_ticket, charged, with_link]), beside)).await;
        }
    }
}

#[tokio::test]
async fn a_job_that_never_ran_ends_in_each_form_over_nothing_that_others_changed() {
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
            let ended = ending.ended();
            assert_eq!((ended.attempt, ended.pull_request), (None, None));
            let ended = Ended {
                ticket: ended.ticket.filter(|_| with_ticket),
                returned: ended.returned.filter(|_| charged),
                ..ended
            };
            world.store.end(&ended).await
        };
        check(prepare, write, (1 + count(&[with_ticket, charged]), &[])).await;
    }
}

/// What takes a job from a runner: its end, a requeue or a rest, each with its ticket or without.
async fn take(world: &World, before: &Job, proof: Proof, form: (&str, [bool; 3])) -> Result<Write, Error> {
    let (what, [with_ticket, charged, with_link]) = form;
    let (requeued, attempt) = requeue_of(before);
    match what {
        "end" => {
            let ending = world.completing(before).await;
            let ended = ending.ended();
            let ended = Ended {
                ticket: ended.ticket.filter(|_| with_ticket),
                returned: ended.returned.filter(|_| charged),
                pull_request: ended.pull_request.filter(|_| with_link),
                proof,
                ..ended
            };
            world.store.end(&ended).await
        }
        "requeue" => world.store.requeue(before, &requeued, &attempt, proof).await,
        _ => {
            let ticket = world.ticket("APP-1").await;
            let ticket = with_ticket.then_some(&ticket);
            let rested = Rested { before, job: &requeued, attempt: Some(&attempt), ticket, input: None, proof };
            world.store.rest(&rested).await
        }
    }
}

#[tokio::test]
async fn a_job_is_taken_from_a_runner_in_each_form_only_while_its_proof_holds() {
    let ends = forms().map(|form| ("end", form));
    let rests = [("requeue", [false; 3]), ("rest", [false; 3]), ("rest", [true, false, false])];
    for form in ends.chain(rests) {
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
                println!("{form:?}, {proof:?}, {attribute}");
                world.refuses(take(&world, &job, proof, form)).await;
            }
            let (world, job, proof) = prepare().await;
            world.applies(take(&world, &job, proof, form)).await;
        }
    }
}
