//! Claims jobs for all slots in one loop, so that claims of one runner never race.

use super::call_failure::{CallKind, RunnerCallFailure, classify_failure};
use super::context::{DaemonContext, JobLimit};
use super::heartbeat::with_timeout;
use super::pauses;
use super::state::FatalExit;
use crate::Error;
use pullyard_domain::id::ClaimId;
use pullyard_domain::text::format_error_chain;
use pullyard_protocol::client;
use pullyard_protocol::runner::{ClaimAnswer, ClaimRequest, ClaimedJob};
use std::time::Duration;
use tokio::time::sleep;

/// Tries to repeat a claim with a lost answer after the daemon stopped claiming.
const LAST_CLAIM_TRIES: u32 = 3;

/// Idempotent: by the claim's id, which is on disk until its job is recorded.
pub(crate) async fn run(world: &DaemonContext) {
    if let Err(error) = claim_loop(world).await {
        let sentence = format!("The runner failed to {}.", format_error_chain(&error));
        world.state().leave_with_error(FatalExit { code: 1, message: sentence });
    }
}

async fn claim_loop(world: &DaemonContext) -> Result<(), Error> {
    let mut id = world.home.load_claim()?;
    let (mut poll, mut failures) = (Duration::from_millis(world.registration.poll_ms), 0_u32);
    loop {
        let broken = failures.max(world.state().read(|now| now.failures));
        let pause = pauses::claim_pause(poll, world.settings.poll_interval, broken, rand::random());
        tokio::select! {
            biased;
            () = world.state().wait_until_leaving() => break,
            () = async { sleep(pause).await; wait_for_slot(world).await } => {}
        }
        // Never interrupted, because an ignored answer could be a job.
        let result = post_claim(world, &id).await;
        match result {
            Ok(answer) => {
                if failures > 0 {
                    tracing::info!(failures, "claims succeed again");
                }
                (poll, failures) = (Duration::from_millis(answer.poll_ms), 0);
                if answer.spent {
                    // Its job ended before the answer arrived, or before its process started.
                    tracing::info!("claimed job has already ended; claiming again");
                    id = world.home.create_claim()?;
                }
                let has_job = match answer.job {
                    Some(job) => start_job(world, &job, &mut id)?,
                    None => false,
                };
                if has_job {
                    poll = Duration::ZERO;
                }
                if world.job_limit == JobLimit::OneClaim || (has_job && world.job_limit == JobLimit::OneJob) {
                    world.state().begin_leaving();
                }
            }
            Err(error) => match classify_failure(&error, CallKind::Claim, &world.settings.name) {
                RunnerCallFailure::Fatal(fall) => {
                    world.state().leave_with_error(fall);
                    return Ok(());
                }
                RunnerCallFailure::NotNow => {
                    tracing::info!(error = %error, "claim refused: {error}");
                    (poll, failures) = (poll.max(Duration::from_secs(1)), 0);
                    if world.job_limit == JobLimit::OneClaim {
                        world.state().begin_leaving();
                    }
                }
                RunnerCallFailure::RetryLater => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        tracing::warn!(error = %error, "claim failed, retrying: {error}");
                    }
                }
            },
        }
    }
    if failures > 0 { repeat_unanswered_claim(world, id).await } else { Ok(()) }
}

/// Repeats a claim with a lost answer, because its job would otherwise have no process.
async fn repeat_unanswered_claim(world: &DaemonContext, mut id: ClaimId) -> Result<(), Error> {
    for failures in 1..=LAST_CLAIM_TRIES {
        match post_claim(world, &id).await {
            Ok(answer) => {
                if let Some(job) = answer.job {
                    start_job(world, &job, &mut id)?;
                }
                return Ok(());
            }
            Err(error)
                if classify_failure(&error, CallKind::Claim, &world.settings.name) != RunnerCallFailure::RetryLater =>
            {
                return Ok(());
            }
            Err(_) => sleep(pauses::back_off(failures, rand::random())).await,
        }
    }
    Ok(())
}

async fn wait_for_slot(world: &DaemonContext) {
    let slots = usize::try_from(world.settings.slots).unwrap_or(usize::MAX);
    world.state().wait_until(|now| now.running.len() < slots && !now.is_draining).await;
}

async fn post_claim(world: &DaemonContext, id: &ClaimId) -> Result<ClaimAnswer, client::Error> {
    let request = ClaimRequest { instance: world.home.instance.clone(), claim_id: id.clone() };
    let call = world.client.claim(world.runner_id(), &request);
    with_timeout(world.settings.poll_timeout, &world.settings.api_url, call).await
}

fn start_job(world: &DaemonContext, claimed: &ClaimedJob, id: &mut ClaimId) -> Result<bool, Error> {
    let ClaimedJob { job, attempt, .. } = claimed;
    let key = (job.clone(), *attempt);
    if !world.state().read(|now| now.running.contains_key(&key)) {
        // The disk and the start may be slow, so let the heartbeats run on another thread.
        match tokio::task::block_in_place(|| world.jobs.starter.start(claimed, id)) {
            Ok((record, living)) => {
                tracing::info!(job.id = %job, attempt, pid = record.pid, "started {job}, attempt {attempt}");
                world.jobs.watch(record, living);
            }
            Err(error) => {
                // The same claim returns this job again. In the end the heartbeats, which lack it, give it up.
                tracing::error!(job.id = %job, attempt, error = %error, "cannot start the process of {job}: {error}");
                world.state().update(|now| now.failures = now.failures.saturating_add(1));
                return Ok(false);
            }
        }
    }
    *id = world.home.create_claim()?;
    Ok(true)
}
