//! Ports of 127.0.0.1 on which a command reaches the runner's proxies.

use crate::error::Error;
use std::io;
use std::net::TcpListener;

/// The ports inside a network namespace. Programs under test use other ones.
pub(crate) const INSIDE_PORTS: [u16; 2] = [47_080, 47_128];

/// Reserved ports of 127.0.0.1, as the command sees it.
#[derive(Debug, Default)]
pub struct Ports {
    pub(crate) numbers: Vec<u16>,
    /// Empty if they are opened inside.
    pub(crate) listeners: Vec<TcpListener>,
}

impl Ports {
    pub fn none() -> Self {
        Self::default()
    }

    pub fn numbers(&self) -> &[u16] {
        &self.numbers
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn inside(count: usize) -> Self {
        Self { numbers: INSIDE_PORTS.iter().copied().take(count).collect(), listeners: Vec::new() }
    }

    pub(crate) fn bind(count: usize) -> Result<Self, Error> {
        let listeners = (0..count.min(INSIDE_PORTS.len())).map(|_| TcpListener::bind(("127.0.0.1", 0)));
        let listeners = listeners.collect::<io::Result<Vec<_>>>().map_err(Error::io("reserve a port"))?;
        let numbers = listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<io::Result<_>>();
        Ok(Self { numbers: numbers.map_err(Error::io("reserve a port"))?, listeners })
    }
}
