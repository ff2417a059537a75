//! Receives SIGTERM and SIGINT. `run-job` converts them into an order, so that every step can stop its work.

use crate::Error;
use crate::inputs::orders::{Order, Orders};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Error> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Error::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Error::Signals)?,
        })
    }

    /// Waits for a signal. Returns the exit code of a process that it ends.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 143,
            _ = self.interrupt.recv() => 130,
        }
    }
}

pub(crate) fn listen(orders: Orders) -> Result<AbortOnDropHandle<()>, Error> {
    let mut signals = Signals::listen()?;
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            signals.next().await;
            tracing::info!("signal received; stopping");
            orders.set(Order::Shutdown);
        }
    })))
}
