//! Errors of the demo model itself. Scripted error answers are in `refusal` and `faults`.

use std::{io, net::SocketAddr};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server checks no key, so it does not serve other machines.
    #[error("serve {address}: the demo model serves loopback addresses only")]
    NotLoopback { address: SocketAddr },
    /// The local address of the listener is unavailable.
    #[error("use the listener")]
    Listener {
        #[source]
        source: io::Error,
    },
    #[error("make a certificate")]
    Certificate {
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
