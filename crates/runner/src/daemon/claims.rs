//! Claims jobs for all slots in one loop, so that claims of one runner never race.

use super::call_failure::{CallKind, RunnerCallFailure, classify_failure};
use super::context::DaemonContext;
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
pub(crate) async fn run(daemon: &DaemonContext) {
    if let Err(error) = claim_loop(daemon).await {
        let sentence = format!("The runner failed to {}.", format_error_chain(&error));
        daemon.state().leave_with_error(FatalExit { code: 1, message: sentence });
    }
}

async fn claim_loop(daemon: &DaemonContext) -> Result<(), Error> {
    let mut id = daemon.state_folder.load_claim()?;
    let (mut poll, mut failures) = (Duration::from_millis(daemon.registration.poll_ms), 0_u32);
    loop {
        let broken = failures.max(daemon.state().read(|now| now.failures));
        let pause = pauses::claim_pause(poll, daemon.settings.poll_interval, broken, rand::random());
        tokio::select! {
            biased;
            () = daemon.state().wait_until_leaving() => break,
            () = async { sleep(pause).await; wait_for_slot(daemon).await } => {}
        }
        // Never interrupted, because an ignored answer could be a job.
        let result = post_claim(daemon, &id).await;
        match result {
            Ok(answer) => {
                if failures > 0 {
                    tracing::info!(failures, "claims succeed again");
                }
                (poll, failures) = (Duration::from_millis(answer.poll_ms), 0);
                if answer.spent {
                    // Its job ended before the answer arrived, or before its process started.
                    tracing::info!("claimed job has already ended; claiming again");
                    id = daemon.state_folder.create_claim()?;
                }
                let has_job = match answer.job {
                    Some(job) => start_job(daemon, &job, &mut id)?,
                    None => false,
                };
                if has_job {
                    poll = Duration::ZERO;
                }
                // A claim of an earlier job says nothing about waiting jobs.
                if daemon.once && !answer.spent {
                    daemon.state().begin_leaving();
                }
            }
            Err(error) => match classify_failure(&error, CallKind::Claim, &daemon.settings.name) {
                RunnerCallFailure::Fatal(fatal) => {
                    daemon.state().leave_with_error(fatal);
                    return Ok(());
                }
                RunnerCallFailure::NotNow => {
                    tracing::info!(error = %error, "claim refused: {error}");
                    (poll, failures) = (poll.max(Duration::from_secs(1)), 0);
                    if daemon.once {
                        daemon.state().begin_leaving();
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
    if failures > 0 { repeat_unanswered_claim(daemon, id).await } else { Ok(()) }
}

/// Repeats a claim with a lost answer, because its job would otherwise have no process.
async fn repeat_unanswered_claim(daemon: &DaemonContext, mut id: ClaimId) -> Result<(), Error> {
    for failures in 1..=LAST_CLAIM_TRIES {
        match post_claim(daemon, &id).await {
            Ok(answer) => {
                if let Some(job) = answer.job {
                    start_job(daemon, &job, &mut id)?;
                }
                return Ok(());
            }
            Err(error)
                if classify_failure(&error, CallKind::Claim, &daemon.settings.name)
                    != RunnerCallFailure::RetryLater =>
            {
                return Ok(());
            }
            Err(_) => sleep(pauses::back_off(failures, rand::random())).await,
        }
    }
    Ok(())
}

async fn wait_for_slot(daemon: &DaemonContext) {
    let slots = usize::try_from(daemon.settings.slots).unwrap_or(usize::MAX);
    daemon.state().wait_until(|now| now.running.len() < slots && !now.is_draining).await;
}

async fn post_claim(daemon: &DaemonContext, id: &ClaimId) -> Result<ClaimAnswer, client::Error> {
    let request = ClaimRequest { instance: daemon.state_folder.instance.clone(), claim_id: id.clone() };
    let call = daemon.client.claim(daemon.runner_id(), &request);
    with_timeout(daemon.settings.poll_timeout, &daemon.settings.api_url, call).await
}

fn start_job(daemon: &DaemonContext, claimed: &ClaimedJob, id: &mut ClaimId) -> Result<bool, Error> {
    let ClaimedJob { job, attempt, .. } = claimed;
    let key = (job.clone(), *attempt);
    if !daemon.state().read(|now| now.running.contains_key(&key)) {
        // The disk and the start may be slow, so let the heartbeats run on another thread.
        match tokio::task::block_in_place(|| daemon.jobs.starter.start(claimed, id)) {
            Ok((record, living)) => {
                tracing::info!(job.id = %job, attempt, pid = record.pid, "started {job}, attempt {attempt}");
                daemon.jobs.watch(record, living);
            }
            Err(error) => {
                // The same claim returns this job again. In the end the heartbeats, which lack it, give it up.
                tracing::error!(job.id = %job, attempt, error = %error, "cannot start the process of {job}: {error}");
                daemon.state().update(|now| now.failures = now.failures.saturating_add(1));
                return Ok(false);
            }
        }
    }
    *id = daemon.state_folder.create_claim()?;
    Ok(true)
}
