//! Claims the attempt: exchanges the bootstrap token for a lease and the assignment.

use crate::api::ecs;
use crate::api::ids;
use crate::api::retry::{AttemptCallFailure, BackOff, classify_error};
use crate::inputs::orders::{Order, Orders};
use crate::{Error, Exit, RunJob};
use pullyard_protocol::attempt::{Assignment, StartRequest};
use pullyard_protocol::client::AttemptClient;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const CLAIM_TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) type ClaimResult = Result<Box<Assignment>, Exit>;

/// Idempotent: by the claim id, from the daemon or created here once. A claim with a lost answer can be repeated.
pub(crate) async fn claim(options: &RunJob, bootstrap: &str, orders: &Orders) -> Result<ClaimResult, Error> {
    let task = match options.metadata_uri.as_ref().filter(|uri| !uri.is_empty()) {
        Some(uri) => ecs::get_task_arn(uri).await,
        None => None,
    };
    let request = StartRequest {
        claim_id: options.claim.clone().map_or_else(ids::new_claim_id, Ok)?,
        instance: options.instance.clone().map_or_else(ids::new_instance_id, Ok)?,
        task,
    };
    tokio::select! {
        // Do not claim a job that this process would not run.
        biased;
        _ = orders.wait_at_least(Order::Shutdown) => Ok(Err(Exit::Stopped)),
        result = send_claim(options, bootstrap, &request) => result,
    }
}

async fn send_claim(options: &RunJob, bootstrap: &str, request: &StartRequest) -> Result<ClaimResult, Error> {
    let client =
        AttemptClient::new(&options.api_url, bootstrap, &options.job, options.attempt).map_err(Error::Start)?;
    let client = client.with_trace(options.trace());
    let until = Instant::now() + CLAIM_TIMEOUT;
    let mut back_off = BackOff::new();
    loop {
        let error = match client.start(request).await {
            Ok(assignment) => return Ok(Ok(Box::new(assignment))),
            Err(error) => error,
        };
        match classify_error(&error) {
            AttemptCallFailure::LeaseLost | AttemptCallFailure::JobCancelled => {
                tracing::info!(error = %error, "claim refused: {error}");
                return Ok(Err(Exit::NotClaimed));
            }
            AttemptCallFailure::Transient if Instant::now() < until => sleep(back_off.next()).await,
            AttemptCallFailure::Transient | AttemptCallFailure::Final => return Err(Error::Start(error)),
        }
    }
}
