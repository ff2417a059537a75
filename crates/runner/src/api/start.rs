//! The start: the bootstrap token is exchanged for the assignment and its lease.

use crate::api::ecs;
use crate::api::ids;
use crate::api::retry::{BackOff, Refusal, refusal};
use crate::inputs::orders::{Order, Orders};
use crate::{Error, Options};
use pullyard_protocol::attempt::{Assignment, StartRequest};
use pullyard_protocol::client::AttemptClient;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the control plane may be out of reach at the start.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) enum Started {
    Ours(Box<Assignment>),
    NotOurs,
    /// We were told to end meanwhile.
    Stopped,
}

/// Claims the attempt.
///
/// Idempotent: by the claim id, a runner's or made once here, so that a lost answer is asked for again.
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
        // A claim that nobody is left to work on is not made.
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
                tracing::info!(error = %error, "the claim was refused: {error}");
                return Ok(Started::NotOurs);
            }
            Refusal::Transient if Instant::now() < until => sleep(back_off.next()).await,
            Refusal::Transient | Refusal::Final => return Err(Error::Start(error)),
        }
    }
}
