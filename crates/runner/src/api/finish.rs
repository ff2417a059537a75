//! Delivers the finish: stores it on disk first, then sends it until it is answered.

use crate::api::outbox::{self, Delivered, Letter, Outbox};
use crate::inputs::orders::{Order, Orders};
use crate::{Error, Exit};
use pullyard_protocol::client;
use std::time::Duration;
use tokio::time::sleep;

/// Time limit for an unreachable control plane.
const LIMIT: Duration = Duration::from_secs(600);
/// Time limit after SIGTERM: ECS waits for thirty seconds.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// Writes: the outbox before the first call; removed when the answer came.
/// Idempotent: by the finish id in the letter.
pub(crate) async fn finish(outbox: &Outbox, letter: Letter, orders: &Orders) -> Result<Exit, Error> {
    // Send the finish even if it could not be stored.
    let kept = match outbox.keep(&letter) {
        Ok(path) => Some(path),
        Err(error) => {
            tracing::error!(error = %error, "cannot store the finish in the outbox: {error}");
            None
        }
    };
    let patience = async {
        tokio::select! {
            () = sleep(LIMIT) => {}
            // The signal may have come long ago. Then this is a short try.
            _ = orders.at_least(Order::Shutdown) => sleep(SHUTDOWN_LIMIT).await,
        }
    };
    let delivered = tokio::select! {
        delivered = outbox::deliver_at_last(&letter) => delivered,
        () = patience => {
            return Err(Error::FinishUndelivered(client::Error::Unreachable {
                url: letter.api_url,
                reason: "it stays in the outbox for the next run".into(),
            }));
        }
    };
    if let Some(path) = kept {
        outbox::forget(&path);
    }
    match delivered {
        Delivered::Accepted => Ok(Exit::Finished),
        Delivered::Late => Ok(Exit::LeaseLost),
        Delivered::Refused(error) => Err(Error::FinishRefused(error)),
    }
}
