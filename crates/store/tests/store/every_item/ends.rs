//! Tests every form of a job's end, requeue and suspension, and the conditions on its runner.

use super::forms::{count_set, forms, number, text};
use super::{FullTrigger, RUNNING_JOBS, check, job_on_runner};
use crate::prelude::*;
use crate::sample;
use crate::world::{World, failed_end, prepare_requeue, requeue_write};
use pullyard_store::Error;

fn end_in_form(ending: &EndingJob, [with_ticket, charged, with_link, with_notice]: [bool; 4]) -> JobWrite<'_> {
    let end = ending.request();
    JobWrite {
        ticket: end.ticket.filter(|_| with_ticket),
        refund: end.refund.filter(|_| charged),
        spending: end.spending.filter(|_| charged),
        pull_request: end.pull_request.filter(|_| with_link),
        notice: end.notice.filter(|_| with_notice),
        ..end
    }
}

#[tokio::test]
async fn job_end_is_refused_by_each_changed_item() {
    for [with_ticket, charged, with_link, linked_before, with_notice] in forms() {
        if linked_before && !with_link {
            continue;
        }
        for (runs, beside) in RUNNING_JOBS {
            let prepare = async || {
                let world = World::new().await;
                if linked_before {
                    world.expect_applied(world.store.link_if_absent(&linked_pull_request())).await;
                }
                let job = runs(&world).await;
                let ending = world.prepare_completion(&job).await;
                (world, ending)
            };
            let form = [with_ticket, charged, with_link, with_notice];
            let write =
                async |world: &World, ending: &EndingJob| world.store.write_job(&end_in_form(ending, form)).await;
            check(prepare, write, (2 + count_set(&form) + usize::from(charged), beside)).await;
        }
    }
}

#[tokio::test]
async fn job_end_is_refused_by_another_output() {
    let prepare = async || {
        let world = World::new().await;
        let job = world.running_job("APP-1", JobStatus::Syncing).await;
        let ending = EndingJob { output: Some(sample::answer()), ..world.prepare_completion(&job).await };
        (world, ending)
    };
    let write = async |world: &World, ending: &EndingJob| world.store.write_job(&end_in_form(ending, [false; 4])).await;
    check(prepare, write, (3, &[])).await;
}

#[tokio::test]
async fn end_of_an_unclaimed_job_is_refused_by_each_changed_item() {
    for [with_ticket, charged] in forms() {
        let prepare = async || {
            let world = World::new().await;
            let trigger = FullTrigger::of(&world).await;
            world.expect_applied(trigger.write(&world)).await;
            let job = world.job(&trigger.job).await;
            let ending = world.prepare_end(&job, failed_end(), at(180)).await;
            (world, ending)
        };
        let write = async |world: &World, ending: &EndingJob| {
            assert_eq!((&ending.attempt, &ending.pull_request), (&None, &None));
            world.store.write_job(&end_in_form(ending, [with_ticket, charged, false, true])).await
        };
        check(prepare, write, (2 + count_set(&[with_ticket, charged, charged]), &[])).await;
    }
}

/// A write that takes a job from a runner.
#[derive(Clone, Copy, Debug)]
enum JobLoss {
    /// An end, with or without the ticket, the returned reservations, the pull request, and the notice.
    End([bool; 4]),
    Requeue,
    Suspension {
        with_ticket: bool,
    },
}

impl JobLoss {
    async fn write(self, world: &World, before: &Job, proof: RunnerCondition) -> Result<Write, Error> {
        let (requeued, attempt) = prepare_requeue(before);
        match self {
            Self::End(form) => {
                let ending = world.prepare_completion(before).await;
                world.store.write_job(&JobWrite { runner: proof, ..end_in_form(&ending, form) }).await
            }
            Self::Requeue => world.store.write_job(&requeue_write(before, &requeued, &attempt, proof)).await,
            Self::Suspension { with_ticket } => {
                let ticket = world.ticket("APP-1").await;
                let ticket = with_ticket.then_some(&ticket);
                let rested = JobWrite { ticket, ..requeue_write(before, &requeued, &attempt, proof) };
                world.store.write_job(&rested).await
            }
        }
    }
}

#[tokio::test]
async fn job_loss_needs_a_valid_runner_proof_in_every_form() {
    let others =
        [JobLoss::Requeue, JobLoss::Suspension { with_ticket: false }, JobLoss::Suspension { with_ticket: true }];
    for taking in forms().map(JobLoss::End).chain(others) {
        for silent in [false, true] {
            let prepare = async || {
                let world = World::new().await;
                let job = job_on_runner(&world).await;
                let runner = world.runner(&sample::runner("kite", 2)).await;
                let proof = if silent {
                    let offline = marked_offline(&runner);
                    world.expect_applied(world.store.mark_offline(&runner, &offline)).await;
                    RunnerCondition::Offline { epoch: offline.epoch }
                } else {
                    RunnerCondition::LastHeartbeat { epoch: runner.epoch, at: runner.last_heartbeat }
                };
                (world, job, proof)
            };
            let other = if silent { ("status", text("online")) } else { ("last_heartbeat", number(1)) };
            for (attribute, value) in [("epoch", number(99)), other] {
                let (world, job, proof) = prepare().await;
                world.set_attribute(("RUNNERS#", ""), attribute, value).await;
                println!("{taking:?}, {proof:?}, {attribute}");
                world.expect_refused(taking.write(&world, &job, proof)).await;
            }
            let (world, job, proof) = prepare().await;
            world.expect_applied(taking.write(&world, &job, proof)).await;
        }
    }
}

#[tokio::test]
async fn job_is_not_taken_from_a_missing_runner() {
    for taking in [JobLoss::End([true; 4]), JobLoss::Requeue, JobLoss::Suspension { with_ticket: true }] {
        let world = World::new().await;
        let job = job_on_runner(&world).await;
        world.delete_item("RUNNERS#", "").await;
        println!("{taking:?}");
        world.expect_refused(taking.write(&world, &job, RunnerCondition::Exists)).await;
    }
}
