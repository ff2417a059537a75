//! Everything that can go wrong inside the demo model, by cause.
//! What it answers wrong because a script says so is not here: that is `refusal` and `faults`.

use std::{io, net::SocketAddr};

/// Why the demo model could not do what its host asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The listener is open to other machines, and no key is checked.
    #[error("serve {address}: the demo model serves loopback addresses only")]
    NotLoopback { address: SocketAddr },
    /// The listener has no address.
    #[error("use the listener")]
    Listener {
        #[source]
        source: io::Error,
    },
    /// Its TLS could not be made.
    #[error("make a certificate")]
    Certificate {
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Whether the same may work later: nothing here does by itself.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotLoopback { .. } | Self::Listener { .. } | Self::Certificate { .. } => false,
        }
    }
}
