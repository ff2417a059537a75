//! Delivers the finish: stores it on disk first, then sends it until it is answered.

use crate::api::outbox::{self, DeliveryResult, Outbox, PendingFinish};
use crate::durable_file;
use crate::inputs::orders::{Order, Orders};
use crate::{Error, Exit};
use pullyard_protocol::client;
use std::time::Duration;
use tokio::time::sleep;

const DELIVERY_TIMEOUT: Duration = Duration::from_secs(600);
/// Time limit after SIGTERM: ECS waits for thirty seconds.
const SHUTDOWN_DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes: the outbox before the first call; removed when the answer came.
/// Idempotent: by the finish id.
pub(crate) async fn deliver_finish(outbox: &Outbox, pending: PendingFinish, orders: &Orders) -> Result<Exit, Error> {
    // Send the finish even if it could not be stored.
    let path = outbox.store(&pending).inspect_err(|error| {
        tracing::error!(error = %error, "cannot store the finish in the outbox: {error}");
    });
    let time_limit = async {
        tokio::select! {
            () = sleep(DELIVERY_TIMEOUT) => {}
            // The signal may have come long ago; its short limit starts now.
            _ = orders.wait_at_least(Order::Shutdown) => sleep(SHUTDOWN_DELIVERY_TIMEOUT).await,
        }
    };
    let result = tokio::select! {
        result = outbox::deliver_until_answered(&pending) => result,
        () = time_limit => {
            return Err(Error::FinishUndelivered(client::Error::Unreachable {
                url: pending.api_url,
                reason: "it stays in the outbox for the next run".into(),
            }));
        }
    };
    if let Ok(path) = path {
        durable_file::remove(&path);
    }
    match result {
        DeliveryResult::Accepted => Ok(Exit::Finished),
        DeliveryResult::Late => Ok(Exit::LeaseLost),
        DeliveryResult::Refused(error) => Err(Error::FinishRefused(error)),
    }
}
