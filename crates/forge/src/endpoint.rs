//! Where a forge's REST API is, and the connections to it.

use crate::stand_in::{Awaited, Exchange, Exchanged, StandIn};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The address of a forge's REST API.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `https://api.github.com`, or `https://HOST/api/v3` of a GitHub Enterprise Server;
    /// `https://api.bitbucket.org/2.0`.
    pub api_url: String,
    /// Those that its clients share.
    pub connections: Connections,
}

impl Endpoint {
    /// With connections of its own.
    pub fn new(api_url: impl Into<String>) -> Self {
        Self { api_url: api_url.into(), connections: Connections::default() }
    }

    /// GitHub as everyone uses it.
    pub fn github_com() -> Self {
        Self::new("https://api.github.com")
    }
}

/// Open connections, shared by all copies: a client that is made for each call would read the system's authorities
/// and greet the forge anew each time.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// To the world, and to this machine.
    clients: [OnceLock<reqwest::Client>; 2],
    stand_in: Option<StandIn>,
}

impl Connections {
    /// None at all: whoever stands in for the network answers each exchange, or says that nothing came back, and ends
    /// each pause. For simulations: how long a call takes is theirs to say, too.
    pub fn standing_in(
        exchange: impl Fn(Exchange) -> Awaited<Exchanged> + Send + Sync + 'static,
        pause: impl Fn(Duration) -> Awaited<()> + Send + Sync + 'static,
    ) -> Self {
        let stand_in = Some(StandIn::new(exchange, pause));
        Self(Arc::new(Inner { clients: Default::default(), stand_in }))
    }

    /// Who stands in for the network, if somebody does.
    pub(crate) fn stand_in(&self) -> Option<&StandIn> {
        self.0.stand_in.as_ref()
    }

    /// Those to this machine, or to the world; `begin` says how, the first time.
    pub(crate) fn to(
        &self,
        this_machine: bool,
        begin: impl FnOnce() -> Result<reqwest::Client, reqwest::Error>,
    ) -> Result<reqwest::Client, reqwest::Error> {
        let [world, machine] = &self.0.clients;
        let cell = if this_machine { machine } else { world };
        match cell.get() {
            Some(client) => Ok(client.clone()),
            None => begin().map(|client| cell.get_or_init(|| client).clone()),
        }
    }
}
