//! Converts SIGTERM and SIGINT into an order, so that every step can stop its work before the process ends.

use crate::Error;
use crate::inputs::orders::{Order, Orders};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

pub(crate) fn listen(orders: Orders) -> Result<AbortOnDropHandle<()>, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("signal received; stopping");
            orders.set(Order::Shutdown);
        }
    })))
}
