//! Claims jobs for all slots in one loop, so that claims of one runner never race.

use super::heart::bounded;
use super::pace;
use super::refusals::{Asked, Meaning, meaning};
use super::state::Fall;
use super::take::Take;
use super::world::World;
use crate::Error;
use pullyard_domain::id::ClaimId;
use pullyard_domain::text::format_error_chain;
use pullyard_protocol::client;
use pullyard_protocol::runner::{ClaimAnswer, ClaimRequest, ClaimedJob};
use std::time::Duration;
use tokio::time::sleep;

/// Tries to repeat a claim with a lost answer after the daemon stopped claiming.
const LAST_TRIES: u32 = 3;

/// Idempotent: by the claim's id, which is on disk until its job is recorded.
pub(crate) async fn run(world: &World) {
    if let Err(error) = claim(world).await {
        let sentence = format!("The runner failed to {}.", format_error_chain(&error));
        world.state().fall(Fall { code: 1, sentence });
    }
}

async fn claim(world: &World) -> Result<(), Error> {
    let mut id = world.home.claim()?;
    let (mut told, mut failures) = (Duration::from_millis(world.registered.poll_ms), 0_u32);
    loop {
        let broken = failures.max(world.state().look(|now| now.failures));
        let pause = pace::before_claim(told, world.settings.poll_interval, broken, rand::random());
        tokio::select! {
            biased;
            () = world.state().leaving() => break,
            () = async { sleep(pause).await; free(world).await } => {}
        }
        // Never interrupted, because an ignored answer could be a job.
        let asked = ask(world, &id).await;
        match asked {
            Ok(answer) => {
                if failures > 0 {
                    tracing::info!(failures, "claims succeed again");
                }
                (told, failures) = (Duration::from_millis(answer.poll_ms), 0);
                if answer.spent {
                    // Its job ended before the answer arrived, or before its process started.
                    tracing::info!("claimed job has already ended; claiming again");
                    id = world.home.next_claim()?;
                }
                let taken = match answer.job {
                    Some(job) => taken(world, &job, &mut id)?,
                    None => false,
                };
                if taken {
                    told = Duration::ZERO;
                }
                if world.take == Take::Once || (taken && world.take == Take::One) {
                    world.state().leave();
                }
            }
            Err(error) => match meaning(&error, Asked::Claim, &world.settings.name) {
                Meaning::Never(fall) => {
                    world.state().fall(fall);
                    return Ok(());
                }
                Meaning::NotNow => {
                    tracing::info!(error = %error, "claim refused: {error}");
                    (told, failures) = (told.max(Duration::from_secs(1)), 0);
                    if world.take == Take::Once {
                        world.state().leave();
                    }
                }
                Meaning::Later => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        tracing::warn!(error = %error, "claim failed, retrying: {error}");
                    }
                }
            },
        }
    }
    if failures > 0 { settle(world, id).await } else { Ok(()) }
}

/// Repeats a claim with a lost answer, because its job would otherwise have no process.
async fn settle(world: &World, mut id: ClaimId) -> Result<(), Error> {
    for failures in 1..=LAST_TRIES {
        match ask(world, &id).await {
            Ok(answer) => {
                if let Some(job) = answer.job {
                    taken(world, &job, &mut id)?;
                }
                return Ok(());
            }
            Err(error) if meaning(&error, Asked::Claim, &world.settings.name) != Meaning::Later => return Ok(()),
            Err(_) => sleep(pace::back_off(failures, rand::random())).await,
        }
    }
    Ok(())
}

/// Waits for a free slot and for the end of a drain.
async fn free(world: &World) {
    let slots = usize::try_from(world.settings.slots).unwrap_or(usize::MAX);
    world.state().until(|now| now.running.len() < slots && !now.told_to_drain).await;
}

async fn ask(world: &World, id: &ClaimId) -> Result<ClaimAnswer, client::Error> {
    let request = ClaimRequest { instance: world.home.instance.clone(), claim_id: id.clone() };
    let call = world.client.claim(world.runner(), &request);
    bounded(world.settings.poll_timeout, &world.settings.api_url, call).await
}

/// Starts the process of a claimed job, unless an earlier daemon did. Returns whether it runs.
fn taken(world: &World, claimed: &ClaimedJob, id: &mut ClaimId) -> Result<bool, Error> {
    let ClaimedJob { job, attempt, .. } = claimed;
    let key = (job.clone(), *attempt);
    if !world.state().look(|now| now.running.contains_key(&key)) {
        // The disk and the start may be slow, so let the heartbeats run on another thread.
        match tokio::task::block_in_place(|| world.jobs.starter.start(claimed, id)) {
            Ok((record, living)) => {
                tracing::info!(job.id = %job, attempt, pid = record.pid, "started {job}, attempt {attempt}");
                world.jobs.watch(record, living);
            }
            Err(error) => {
                // The same claim returns this job again. In the end the heartbeats, which lack it, give it up.
                tracing::error!(job.id = %job, attempt, error = %error, "cannot start the process of {job}: {error}");
                world.state().change(|now| now.failures = now.failures.saturating_add(1));
                return Ok(false);
            }
        }
    }
    *id = world.home.next_claim()?;
    Ok(true)
}
