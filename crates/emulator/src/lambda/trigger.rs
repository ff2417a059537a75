//! A trigger that runs in the background until its handle goes.
//!
//! Owns the end: the token is cancelled, the loops finish their current invocation and return.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The background half of a trigger; dropping it stops the loops without waiting.
#[derive(Debug)]
pub(super) struct Background {
    stop: CancellationToken,
    loops: Vec<JoinHandle<()>>,
}

impl Background {
    /// Runs loops that return once the token is cancelled.
    pub(super) fn spawn<F>(loops: impl FnOnce(&CancellationToken) -> Vec<F>) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let loops = loops(&stop).into_iter().map(tokio::spawn).collect();
        Self { stop, loops }
    }

    /// Stops the loops and waits until they have returned.
    pub(super) async fn shutdown(mut self) {
        self.stop.cancel();
        for running in std::mem::take(&mut self.loops) {
            // Only a panic of a loop itself ends it otherwise, and it is over then, too.
            let _over = running.await;
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
