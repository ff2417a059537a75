//! Use cases for races: each reads, lets the domain decide, writes, and retries after a stale read.

use crate::sample::{self, at};
use crate::world::{World, fence, first_registration, ticket_job_trigger};
use pullyard_domain::id::InstanceId;
use pullyard_domain::job::{AttemptEnd, End, Job, TransitionRefusal};
use pullyard_domain::project::Settings;
use pullyard_domain::runner::{Heartbeat, Presence, Runner, RunnerRegistration};
use pullyard_domain::ticket::SettleStep;
use pullyard_store::{Error, JobEnd, RegistrationWrite, RunnerCondition, Write};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type RaceOutcome = &'static str;

/// The number of racers per outcome.
pub(crate) fn tally(came: &[RaceOutcome]) -> BTreeMap<RaceOutcome, usize> {
    let mut tally = BTreeMap::new();
    for word in came {
        *tally.entry(*word).or_default() += 1;
    }
    tally
}

pub(crate) async fn finish(world: &World, held: &Job, number: usize) -> Result<RaceOutcome, Error> {
    finish_as(world, held, number, End::Completed(sample::result(7))).await
}

pub(crate) async fn finish_as(world: &World, held: &Job, number: usize, end: End) -> Result<RaceOutcome, Error> {
    let finish = sample::finish(&format!("f{number}"));
    loop {
        let job = world.job(held).await;
        match job.finish(&fence(held), &finish, end.clone(), at(180)) {
            Ok(ended) => {
                let ending = world.prepare_end_of(&job, ended, at(180)).await;
                if world.store.end_job(&ending.request()).await? == Write::Applied {
                    return Ok("finished");
                }
            }
            Err(TransitionRefusal::AlreadyDone) => return Ok("finished"),
            Err(_) => return Ok("too late"),
        }
    }
}

pub(crate) async fn finish_or_store_late_result(
    world: &World,
    held: &Job,
    number: usize,
) -> Result<RaceOutcome, Error> {
    let came = finish(world, held, number).await?;
    if came == "too late" {
        world.store.update_late_result(&held.id, held.attempt, &sample::result(7)).await?;
        world.store.link_if_absent(&sample::pull_request(held, 7)).await?;
    }
    Ok(came)
}

/// The ticket enters the trigger status with this event and gets a job, or the entry is queued behind the active job.
pub(crate) async fn enter_trigger_status(world: &World, event: &str) -> Result<RaceOutcome, Error> {
    let entry = sample::event("APP-1", event, at(190), "AI Processing").entry();
    loop {
        let mut ticket = world.ticket("APP-1").await;
        let known =
            world.store.load_job(&sample::job_id(event)).await?.is_some() || ticket.again.as_ref() == Some(&entry);
        if known {
            return Ok("known");
        }
        let (written, came) = if ticket.active_job.is_some() {
            ticket.again = Some(entry.clone());
            (world.store.update_ticket(&ticket).await?, "waits")
        } else {
            let (job, ticket) = sample::plan_ticket_job(&ticket, event);
            (world.store.create_job(&ticket_job_trigger(&job, &ticket)).await?, "made")
        };
        if written == Write::Applied {
            return Ok(came);
        }
    }
}

/// Settles the ticket until no step is left.
pub(crate) async fn settle(world: &World) -> Result<RaceOutcome, Error> {
    loop {
        let ticket = world.ticket("APP-1").await;
        let (written, came) = match ticket.next_settle_step(&Settings::default(), at(400)) {
            SettleStep::WriteBack(next) | SettleStep::DropEntry(next) | SettleStep::DropInvalidMark(next) => {
                (world.store.update_ticket(&next).await?, None)
            }
            SettleStep::DecideEntry(entry) => {
                let (job, next) = sample::plan_ticket_job(&ticket, entry.event.as_str());
                (world.store.create_job(&ticket_job_trigger(&job, &next)).await?, Some("made"))
            }
            SettleStep::DecideReviews(_) | SettleStep::Skip => return Ok("nothing"),
        };
        match came {
            Some(came) if written == Write::Applied => return Ok(came),
            _ => {}
        }
    }
}

pub(crate) async fn claim(world: &World, runner: &Runner, job: &Job, number: usize) -> Result<RaceOutcome, Error> {
    let name = format!("c{number}");
    loop {
        let Some(stored) = world.store.load_runner(&runner.id).await? else { return Ok("closed") };
        let job = world.job(job).await;
        let claim = sample::claim_by(runner, &job, &name);
        if job.run.as_ref().is_some_and(|run| run.claim == claim.claim) {
            return Ok("claimed");
        }
        match stored.check_claim(&runner.instance, &claim.claim, at(1)) {
            Ok(None) => {}
            _ => return Ok("closed"),
        }
        match job.claim(&claim, at(60)) {
            Ok(claimed) => {
                if world.store.claim_job(&claimed).await? == Write::Applied {
                    return Ok("claimed");
                }
            }
            Err(_) => return Ok("refused"),
        }
    }
}

/// The sweep's change of a job whose runner is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LossPolicy {
    GiveUp,
    Requeue,
}

/// Sweeps a runner that was read as silent: marks it offline over that heartbeat, then removes its jobs over the epoch.
/// A runner with a newer heartbeat is skipped.
pub(crate) async fn sweep(world: &World, seen: &Runner, lost: LossPolicy) -> Result<RaceOutcome, Error> {
    world.store.mark_offline(seen, &crate::fleet::marked_offline(seen)).await?;
    let mut came = "nothing";
    loop {
        let Some(runner) = world.store.load_runner(&seen.id).await? else { return Ok(came) };
        if runner.status != Presence::Offline {
            return Ok(came);
        }
        let Some((id, slot)) = runner.slots.iter().next() else { return Ok(came) };
        let proof = RunnerCondition::Offline { epoch: runner.epoch };
        let Some(before) = world.store.load_job(id).await? else {
            world.store.remove_slot(&runner, id, slot).await?;
            continue;
        };
        let now = at(1_000);
        let written = match lost {
            LossPolicy::GiveUp => match before.fail(sample::failure(), now) {
                Ok(ended) => {
                    let ending = world.prepare_end_of(&before, ended, now).await;
                    world.store.end_job(&JobEnd { runner: proof, ..ending.request() }).await?
                }
                Err(_) => continue,
            },
            LossPolicy::Requeue => match before.requeue(now) {
                Ok(next) => {
                    let end = AttemptEnd::Requeued { failure: sample::failure() };
                    let attempt = sample::ended_attempt(&before, end, now).expect("the job had an attempt");
                    world.store.requeue_job(&before, &next, &attempt, proof).await?
                }
                Err(_) => continue,
            },
        };
        if written == Write::Applied {
            came = "took away";
        }
    }
}

/// Sends a heartbeat of the process of `seen`, with the jobs of `seen`, which may be outdated.
pub(crate) async fn send_heartbeat(world: &World, seen: &Runner, secs: u64) -> Result<RaceOutcome, Error> {
    let instance = seen.instance.clone();
    let mut seen = seen.clone();
    loop {
        let active = seen.slots.keys().cloned().collect();
        let said = Heartbeat { instance: instance.clone(), active_jobs: active, draining: false, is_sign_off: false };
        let Ok(heard) = seen.with_heartbeat(said, at(secs)) else { return Ok("turned away") };
        if world.store.record_heartbeat(&seen, &heard).await? == Write::Applied {
            return Ok("heard");
        }
        let Some(stored) = world.store.load_runner(&seen.id).await? else { return Ok("turned away") };
        seen = stored;
    }
}

/// Another process registers as this runner, 101 s after the start.
pub(crate) async fn take_over(world: &World, of: &Runner, number: usize) -> Result<RaceOutcome, Error> {
    let instance = InstanceId::new(format!("newcomer-{number}")).expect("a valid instance id");
    loop {
        let seen = world.store.load_runner(&of.id).await?;
        if seen.as_ref().is_some_and(|seen| seen.instance == instance) {
            return Ok("took over");
        }
        let new = RunnerRegistration {
            id: of.id.clone(),
            name: of.name.clone(),
            token: of.token.clone(),
            instance: instance.clone(),
            max_slots: of.max,
            active_jobs: BTreeSet::new(),
        };
        let Ok(next) = Runner::register(seen.as_ref(), new, at(101)) else { return Ok("turned away") };
        let profile = sample::profile(&next, &next.name);
        let registered = RegistrationWrite { previous: seen.as_ref(), ..first_registration(&next, &profile) };
        if world.store.register_runner(&registered).await? == Write::Applied {
            return Ok("took over");
        }
    }
}
