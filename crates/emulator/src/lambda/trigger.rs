//! Background loops of a trigger; they finish their current invocation when stopped.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
pub(super) struct Background {
    stop: CancellationToken,
    loops: Vec<JoinHandle<()>>,
}

impl Background {
    pub(super) fn spawn<F>(loops: impl FnOnce(&CancellationToken) -> Vec<F>) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let loops = loops(&stop).into_iter().map(tokio::spawn).collect();
        Self { stop, loops }
    }

    pub(super) async fn shutdown(mut self) {
        self.stop.cancel();
        for running in std::mem::take(&mut self.loops) {
            // An error means that the loop panicked; it has ended in both cases.
            let _over = running.await;
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
