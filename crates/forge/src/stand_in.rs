//! Replaces the network in simulations: closures answer each exchange and each pause.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Status and body; `None` if the exchange was lost.
pub type ExchangeResult = Option<(u16, Vec<u8>)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub method: String,
    pub url: String,
    pub body: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct StandIn {
    exchange: Arc<dyn Fn(Exchange) -> BoxFuture<ExchangeResult> + Send + Sync>,
    pause: Arc<dyn Fn(Duration) -> BoxFuture<()> + Send + Sync>,
}

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandIn").finish_non_exhaustive()
    }
}

impl StandIn {
    pub(crate) fn new(
        exchange: impl Fn(Exchange) -> BoxFuture<ExchangeResult> + Send + Sync + 'static,
        pause: impl Fn(Duration) -> BoxFuture<()> + Send + Sync + 'static,
    ) -> Self {
        Self { exchange: Arc::new(exchange), pause: Arc::new(pause) }
    }

    pub(crate) async fn exchange(&self, request: Exchange) -> ExchangeResult {
        (self.exchange)(request).await
    }

    pub(crate) async fn pause(&self, by: Duration) {
        (self.pause)(by).await;
    }
}
