//! The address of a forge's REST API and the connections to it.

use crate::stand_in::{BoxFuture, Exchange, ExchangeResult, StandIn};
use pullyard_domain::text::host::{ExchangeLog, Exchanges};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Endpoint {
    pub api_url: String,
    pub connections: Connections,
}

impl Endpoint {
    pub fn new(api_url: impl Into<String>) -> Self {
        Self { api_url: api_url.into(), connections: Connections::default() }
    }
}

/// Connections shared by all copies, so that root certificates and TLS sessions are not loaded for each call.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    clients: [OnceLock<reqwest::Client>; 2],
    stand_in: Option<StandIn>,
    exchanges: Mutex<ExchangeLog>,
}

impl Connections {
    /// Replaces the network for simulations: closures answer each exchange (`None` if lost) and end each pause.
    pub fn with_stand_in(
        exchange: impl Fn(Exchange) -> BoxFuture<ExchangeResult> + Send + Sync + 'static,
        pause: impl Fn(Duration) -> BoxFuture<()> + Send + Sync + 'static,
    ) -> Self {
        let stand_in = Some(StandIn { exchange: Arc::new(exchange), pause: Arc::new(pause) });
        Self(Arc::new(Inner { clients: Default::default(), stand_in, exchanges: Mutex::default() }))
    }

    /// The exchanges over these connections with a host, as `host_of` names it.
    pub fn exchanges(&self, host: &str) -> Exchanges {
        self.0.exchanges.lock().unwrap_or_else(PoisonError::into_inner).count(host)
    }

    pub(crate) fn log(&self, url: &str, is_timeout: bool) {
        self.0.exchanges.lock().unwrap_or_else(PoisonError::into_inner).add(url, is_timeout);
    }

    pub(crate) fn stand_in(&self) -> Option<&StandIn> {
        self.0.stand_in.as_ref()
    }

    pub(crate) fn client(
        &self,
        this_machine: bool,
        build: impl FnOnce() -> Result<reqwest::Client, reqwest::Error>,
    ) -> Result<reqwest::Client, reqwest::Error> {
        let [remote, local] = &self.0.clients;
        let cell = if this_machine { local } else { remote };
        match cell.get() {
            Some(client) => Ok(client.clone()),
            None => build().map(|client| cell.get_or_init(|| client).clone()),
        }
    }
}
