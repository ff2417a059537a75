//! Claims jobs for all slots in one loop, so that claims of one runner never race.

use super::call_failure::{CallKind, FatalExit, RunnerCallFailure, classify_failure};
use super::context::DaemonContext;
use super::heartbeat::with_timeout;
use super::mailbox::Mailbox;
use super::pauses;
use super::state::StateSnapshot;
use crate::disk_limit::{self, CLAIM_PAUSE};
use pullyard_domain::text::id::ClaimId;
use pullyard_protocol::client;
use pullyard_protocol::runner::{ClaimAnswer, ClaimRequest, ClaimedJob};
use std::time::Duration;
use tokio::time::sleep;

/// Maximum number of times that a leaving daemon repeats a claim whose answer was lost.
const LAST_CLAIM_TRIES: u32 = 3;

/// Idempotent: by the claim's id, which stays on disk until its job is recorded.
pub(crate) async fn run(daemon: &DaemonContext) {
    if let Err(fatal) = claim_until_leaving(daemon).await {
        daemon.state().leave_with_error(fatal);
    }
}

async fn claim_until_leaving(daemon: &DaemonContext) -> Result<(), FatalExit> {
    let mut id = daemon.state_folder.load_claim()?;
    let (mut poll, mut failures) = (Duration::from_millis(daemon.registration.poll_ms), 0_u32);
    let (mut mailbox, mut is_idle) = (Mailbox::new(daemon), false);
    // After a sign of a job, a claim without one is repeated at the latest after `poll`.
    let mut may_be_late = false;
    loop {
        let failed_in_a_row = failures.max(daemon.state().read(|state| state.failures));
        let pause = pauses::claim_pause(poll, daemon.settings.poll_interval, failed_in_a_row, rand::random());
        tokio::select! {
            biased;
            () = daemon.state().wait_until_leaving() => break,
            ready = async {
                // After a failure, neither a hint nor the freed slot shortens the pause.
                if is_idle && failed_in_a_row == 0 {
                    may_be_late = mailbox.wait(pause, may_be_late).await;
                } else {
                    sleep(pause).await;
                }
                wait_until_ready(daemon).await
            } => if let Err(fatal) = ready {
                daemon.state().leave_with_error(fatal);
                break;
            },
        }
        is_idle = false;
        // Do not interrupt this call, because an ignored answer may contain a job.
        match post_claim(daemon, &id).await {
            Ok(answer) => {
                if failures > 0 {
                    tracing::info!(failures, "claims succeed again");
                }
                (poll, failures) = (Duration::from_millis(answer.poll_ms), 0);
                if answer.spent {
                    // The job ended before the answer arrived, or before its process started.
                    tracing::info!("claimed job has already ended; claiming again");
                }
                let has_started = answer.job.as_ref().is_some_and(|job| start_job(daemon, job, &id));
                if has_started {
                    poll = Duration::ZERO;
                }
                is_idle = !has_started && !answer.spent;
                if !is_idle {
                    id = daemon.state_folder.create_claim()?;
                }
                // A spent claim does not show whether another job waits.
                if daemon.once && !answer.spent {
                    daemon.state().begin_leaving();
                }
            }
            Err(error) => match classify_failure(&error, CallKind::Claim, &daemon.settings.name) {
                RunnerCallFailure::Fatal(fatal) => return Err(fatal),
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
    if failures > 0 { repeat_unanswered_claim(daemon, &id).await } else { Ok(()) }
}

/// Repeats a claim whose answer was lost, because a claimed job needs a process.
async fn repeat_unanswered_claim(daemon: &DaemonContext, id: &ClaimId) -> Result<(), FatalExit> {
    for failures in 1..=LAST_CLAIM_TRIES {
        match post_claim(daemon, id).await {
            Ok(answer) => {
                if answer.job.is_some_and(|job| start_job(daemon, &job, id)) {
                    daemon.state_folder.create_claim()?;
                }
                break;
            }
            Err(error) => match classify_failure(&error, CallKind::Claim, &daemon.settings.name) {
                RunnerCallFailure::RetryLater => sleep(pauses::back_off(failures, rand::random())).await,
                RunnerCallFailure::NotNow | RunnerCallFailure::Fatal(_) => break,
            },
        }
    }
    Ok(())
}

/// Errors: with `--once`, if the disk has no space for a job.
async fn wait_until_ready(daemon: &DaemonContext) -> Result<(), FatalExit> {
    wait_for_slot(daemon).await;
    let load_low_space = || disk_limit::load_low_space(daemon.jobs.starter.work_dir.clone());
    if daemon.once {
        let Some(reason) = load_low_space().await else { return Ok(()) };
        let message = format!(
            "Claimed no job now, because the work folder's disk has too little space: {reason}. Free some space."
        );
        return Err(FatalExit { code: 1, message });
    }
    disk_limit::wait_for_reserve(load_low_space, CLAIM_PAUSE).await;
    // The runner may be draining by now.
    wait_for_slot(daemon).await;
    Ok(())
}

async fn wait_for_slot(daemon: &DaemonContext) {
    let slots = usize::try_from(daemon.settings.slots).unwrap_or(usize::MAX);
    // With `--once`, a draining runner claims too, and the answer has no job.
    let may_claim = |state: &StateSnapshot| daemon.once || !state.is_draining && !state.is_updating;
    daemon.state().wait_until(|state| state.running.len() < slots && may_claim(state)).await;
}

async fn post_claim(daemon: &DaemonContext, id: &ClaimId) -> Result<ClaimAnswer, client::Error> {
    let request = ClaimRequest { instance: daemon.state_folder.instance.clone(), claim_id: id.clone() };
    let call = daemon.client.claim(daemon.runner_id(), &request);
    with_timeout(daemon.settings.poll_timeout, &daemon.settings.api_url, call).await
}

/// Starts the process of a job. Returns whether the job has a process, also from an earlier answer to the same claim.
fn start_job(daemon: &DaemonContext, claimed_job: &ClaimedJob, id: &ClaimId) -> bool {
    let ClaimedJob { job, attempt, .. } = claimed_job;
    if daemon.state().read(|state| state.running.contains_key(&(job.clone(), *attempt))) {
        return true;
    }
    // The disk and the start may be slow, so let the heartbeats run on another thread.
    match tokio::task::block_in_place(|| daemon.jobs.starter.start(claimed_job, id)) {
        Ok((record, process)) => {
            tracing::info!(job.id = %job, attempt, pid = record.pid, "started {job}, attempt {attempt}");
            daemon.jobs.watch(record, process);
            true
        }
        Err(error) => {
            // The next claim returns this job again. If it never starts, no heartbeat reports it, which ends its attempt.
            tracing::error!(job.id = %job, attempt, error = %error, "cannot start the process of {job}: {error}");
            daemon.state().update(|state| state.failures = state.failures.saturating_add(1));
            false
        }
    }
}
