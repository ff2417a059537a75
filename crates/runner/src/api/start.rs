//! Claims the attempt: exchanges the bootstrap token for a lease and the assignment.

use crate::api::ecs;
use crate::api::ids;
use crate::api::retry::{BackOff, Refusal, refusal};
use crate::inputs::orders::{Order, Orders};
use crate::{Error, Options};
use pullyard_protocol::attempt::{Assignment, StartRequest};
use pullyard_protocol::client::AttemptClient;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time limit for an unreachable control plane.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) enum Started {
    Ours(Box<Assignment>),
    NotOurs,
    /// A signal arrived before the answer.
    Stopped,
}

/// Idempotent: by the claim id, from the daemon or created here once. A claim with a lost answer can be repeated.
pub(crate) async fn start(options: &Options, orders: &Orders) -> Result<Started, Error> {
    let task = match &options.metadata_uri {
        Some(uri) => ecs::task_arn(uri).await,
        None => None,
    };
    let request = StartRequest {
        claim_id: options.claim.clone().map_or_else(ids::claim, Ok)?,
        instance: options.instance.clone().map_or_else(ids::instance, Ok)?,
        task,
    };
    tokio::select! {
        // Do not claim a job that this process would not run.
        biased;
        _ = orders.at_least(Order::Shutdown) => Ok(Started::Stopped),
        started = ask(options, &request) => started,
    }
}

async fn ask(options: &Options, request: &StartRequest) -> Result<Started, Error> {
    let Options { api_url, job, attempt, bootstrap, trace, .. } = options;
    let until = Instant::now() + LIMIT;
    let mut back_off = BackOff::new();
    loop {
        let error = match AttemptClient::start_within(trace.as_ref(), api_url, bootstrap, job, *attempt, request).await
        {
            Ok(assignment) => return Ok(Started::Ours(Box::new(assignment))),
            Err(error) => error,
        };
        match refusal(&error) {
            Refusal::LeaseLost | Refusal::Unwanted => {
                tracing::info!(error = %error, "claim refused: {error}");
                return Ok(Started::NotOurs);
            }
            Refusal::Transient if Instant::now() < until => sleep(back_off.next()).await,
            Refusal::Transient | Refusal::Final => return Err(Error::Start(error)),
        }
    }
}
