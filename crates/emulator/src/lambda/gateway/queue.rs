//! Limits how many functions run at once. Further requests wait in order. A request that finds the waiting list full is
//! refused.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Debug)]
pub(super) struct Queue {
    running: Arc<Semaphore>,
    /// For running and waiting requests.
    places: Arc<Semaphore>,
}

/// Ends when its function ends.
#[derive(Debug)]
pub(super) struct Turn {
    _running: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Queue {
    pub(super) fn new(max_running: usize, max_waiting: usize) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits));
        Self { running: semaphore(max_running), places: semaphore(max_running + max_waiting) }
    }

    /// Returns `None` at once if too many requests wait already.
    pub(super) async fn wait_turn(&self) -> Option<Turn> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let running = Arc::clone(&self.running).acquire_owned().await.ok()?;
        Some(Turn { _running: running, _place: place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future as _;
    use std::task::{Context, Poll, Waker};

    #[tokio::test]
    async fn requests_start_in_order_of_arrival() {
        let queue = Queue::new(1, 2);
        let first = queue.wait_turn().await;
        let (mut second, mut third) = (Box::pin(queue.wait_turn()), Box::pin(queue.wait_turn()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(third.as_mut().poll(&mut context).is_pending());
        assert!(queue.wait_turn().await.is_none(), "all places are taken");
        drop(first);
        assert!(third.as_mut().poll(&mut context).is_pending(), "the second request is first");
        let Poll::Ready(Some(second)) = second.as_mut().poll(&mut context) else { panic!("it has no turn") };
        drop(second);
        assert!(third.await.is_some());
    }
}
