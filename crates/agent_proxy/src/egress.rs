//! The egress proxy: `CONNECT` to port 443 of allowed names.
//!
//! A name is checked before it is resolved, because a lookup of any name would itself be a way out. It is resolved once,
//! every address must be public, and that address is dialled, so that a changed answer has no effect. The name inside
//! TLS must be the name of the `CONNECT`. What remains: a host of the list that forwards to others by the `Host` field
//! inside TLS, and uploads to a host of the list.

use crate::address::is_public;
use crate::listen;
use crate::request_head::{self, Request};
use crate::server_name;
use pullyard_domain::egress::{AllowList, normalize};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::timeout;

const MAX_CONNECTIONS: usize = 128;
/// Time for the agent to send the head of its request, and the first message of TLS.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TUNNEL_TIMEOUT: Duration = Duration::from_secs(3600);
/// Hosts beyond this number are refused without a report.
const MAX_REPORTED_HOSTS: usize = 100;
const HTTPS: u16 = 443;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// As the agent named it, at most 253 bytes. Untrusted text.
    pub host: String,
    pub reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    InvalidRequest,
    PlainHttp,
    /// Neither the name nor a registry with it is in the project's list. IP addresses never are.
    NotAllowed,
    /// Only 443 is open.
    Port,
    /// The name has no address, or the host does not answer.
    Unreachable,
    /// The name has an address of a private or local network.
    PrivateAddress,
    /// TLS names another server than the `CONNECT`.
    OtherServerName,
}

impl Reason {
    /// The reason as the end of a sentence after a host.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::InvalidRequest => "the request is not CONNECT",
            Self::PlainHttp => "it is plain HTTP; use https",
            Self::NotAllowed => "it is not in the project's egress list",
            Self::Port => "only port 443 is allowed",
            Self::Unreachable => "it cannot be reached from the runner",
            Self::PrivateAddress => "it has an address of a private or local network",
            Self::OtherServerName => "TLS names another server",
        }
    }
}

/// Receives each refused host once for each reason.
pub type Report = dyn Fn(Refusal) + Send + Sync;

pub struct Egress {
    allowed: AllowList,
    report: Box<Report>,
    reported: Mutex<BTreeSet<(String, Reason)>>,
    is_allowed_address: fn(IpAddr) -> bool,
    head_timeout: Duration,
    /// Tests resolve names to servers of their own.
    #[cfg(test)]
    resolver: Option<Box<tests::Resolver>>,
}

impl Egress {
    pub fn new(allowed: AllowList, report: Box<Report>) -> Self {
        Self {
            allowed,
            report,
            reported: Mutex::default(),
            is_allowed_address: is_public,
            head_timeout: HEAD_TIMEOUT,
            #[cfg(test)]
            resolver: None,
        }
    }

    /// Serves until it is dropped. Connections end with it.
    pub async fn serve(self, listener: TcpListener) {
        let proxy = Arc::new(self);
        let handle = move |stream| {
            let proxy = Arc::clone(&proxy);
            async move {
                let _ = timeout(TUNNEL_TIMEOUT, proxy.handle(stream)).await;
            }
        };
        listen::serve(listener, MAX_CONNECTIONS, handle).await;
    }

    async fn handle(&self, mut client: TcpStream) -> io::Result<()> {
        let head = timeout(self.head_timeout, request_head::read(&mut client)).await.ok().flatten();
        match head {
            None => self.refuse(&mut client, "", Reason::InvalidRequest).await,
            Some(Request::Connect { host, port }) => self.tunnel(client, &host, port).await,
            Some(Request::Plain { host }) => self.refuse(&mut client, &host, Reason::PlainHttp).await,
        }
    }

    async fn tunnel(&self, mut client: TcpStream, host: &str, port: u16) -> io::Result<()> {
        let mut server = match self.dial(host, port).await {
            Ok(server) => server,
            Err(reason) => return self.refuse(&mut client, host, reason).await,
        };
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        let hello = timeout(self.head_timeout, server_name::read(&mut client)).await.ok().flatten();
        let Some((hello, _)) = hello.filter(|(_, name)| Some(name) == normalize(host).as_ref()) else {
            self.report_refusal(host, Reason::OtherServerName);
            return client.shutdown().await;
        };
        server.write_all(&hello).await?;
        copy_bidirectional(&mut client, &mut server).await.map(drop)
    }

    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, Reason> {
        // First, because the lookup of a name that the agent made up would tell it to a server of the agent's.
        if !self.allowed.permits(host) {
            return Err(Reason::NotAllowed);
        }
        if port != HTTPS {
            return Err(Reason::Port);
        }
        let found = self.resolve(host, port).await.ok_or(Reason::Unreachable)?;
        if !found.iter().all(|address| (self.is_allowed_address)(address.ip())) {
            return Err(Reason::PrivateAddress);
        }
        let dialled = timeout(CONNECT_TIMEOUT, TcpStream::connect(found.as_slice())).await;
        dialled.ok().and_then(Result::ok).ok_or(Reason::Unreachable)
    }

    async fn resolve(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        #[cfg(test)]
        if let Some(resolver) = &self.resolver {
            return Some(resolver(host));
        }
        Some(timeout(CONNECT_TIMEOUT, lookup_host((host, port))).await.ok()?.ok()?.collect())
    }

    async fn refuse(&self, client: &mut TcpStream, host: &str, reason: Reason) -> io::Result<()> {
        self.report_refusal(host, reason);
        let text = format!("Pullyard refused this connection: {}.\n", reason.sentence());
        let head = format!(
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
        client.write_all(head.as_bytes()).await?;
        client.shutdown().await
    }

    fn report_refusal(&self, host: &str, reason: Reason) {
        let end = host.floor_char_boundary(253);
        let host = host.get(..end).unwrap_or_default().to_ascii_lowercase();
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.len() < MAX_REPORTED_HOSTS && reported.insert((host.clone(), reason)) {
            drop(reported);
            (self.report)(Refusal { host, reason });
        }
    }
}

#[cfg(test)]
mod tests;
