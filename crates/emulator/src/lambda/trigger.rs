//! A function and the loops that invoke it; they finish their current invocation when stopped.

use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Function;
use super::invoke::Invoker;

/// Dropping it stops the loops after their current invocations.
#[derive(Debug)]
pub struct Trigger {
    pub(super) invoker: Arc<Invoker>,
    stop: CancellationToken,
    loops: Vec<JoinHandle<()>>,
}

impl Trigger {
    pub(super) fn spawn<F>(function: Function, loops: impl FnOnce(&Arc<Invoker>, &CancellationToken) -> Vec<F>) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (invoker, stop) = (Arc::new(Invoker::new(function)), CancellationToken::new());
        let loops = loops(&invoker, &stop).into_iter().map(tokio::spawn).collect();
        Self { invoker, stop, loops }
    }

    #[must_use]
    pub fn invocations(&self) -> u64 {
        self.invoker.invocations()
    }

    pub async fn shutdown(mut self) {
        self.stop.cancel();
        for running in std::mem::take(&mut self.loops) {
            // An error means that the loop panicked; it has ended in both cases.
            let _over = running.await;
        }
        self.invoker.wait_idle().await;
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
