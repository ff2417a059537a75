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
    pub(crate) exchange: Arc<dyn Fn(Exchange) -> BoxFuture<ExchangeResult> + Send + Sync>,
    pub(crate) pause: Arc<dyn Fn(Duration) -> BoxFuture<()> + Send + Sync>,
}

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandIn").finish_non_exhaustive()
    }
}
