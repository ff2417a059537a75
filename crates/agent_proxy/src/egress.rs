//! The egress proxy: forwards `CONNECT` requests to port 443 of allowed hosts.
//!
//! The proxy checks a name before its DNS lookup, because a lookup of any name could send data out. It resolves the name
//! once, requires public addresses, and connects to these addresses, so a second DNS answer has no effect. The server
//! name in TLS must equal the host of the `CONNECT`.
//! Not prevented: uploads to an allowed host, and an allowed host that forwards requests by their `Host` header.

use crate::listen;
use crate::request_head::{self, Request};
use crate::server_name;
use pullyard_domain::agent::egress::{AllowList, normalize};
use pullyard_domain::text::address::is_public;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::timeout;

const MAX_CONNECTIONS: usize = 128;
/// Limit for reading the head of a request, and for reading the ClientHello.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TUNNEL_TIMEOUT: Duration = Duration::from_secs(3600);
const HTTPS: u16 = 443;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The host in the agent's request, in lower case, at most 253 bytes. Untrusted text.
    pub host: String,
    pub reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    InvalidRequest,
    PlainHttp,
    /// No rule of the project's egress list matches. An IP address never matches.
    NotAllowed,
    Port,
    /// The DNS lookup failed, or no address accepts a connection.
    Unreachable,
    PrivateAddress,
    /// The ClientHello has another server name than the `CONNECT`, or none.
    OtherServerName,
}

impl Reason {
    /// The end of a sentence that begins with the host.
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

/// Receives every refusal, also repeated ones.
pub type Report = dyn Fn(Refusal) + Send + Sync;

pub struct Egress {
    allowed: AllowList,
    report: Box<Report>,
    is_allowed_address: fn(IpAddr) -> bool,
    head_timeout: Duration,
    /// Replaces DNS in tests.
    #[cfg(test)]
    resolver: Option<Box<tests::Resolver>>,
}

impl Egress {
    pub fn new(allowed: AllowList, report: Box<Report>) -> Self {
        Self {
            allowed,
            report,
            is_allowed_address: is_public,
            head_timeout: HEAD_TIMEOUT,
            #[cfg(test)]
            resolver: None,
        }
    }

    /// Serves connections until the future is dropped, which closes them.
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
        let mut server = match self.connect(host, port).await {
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

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Reason> {
        // Before the lookup: a name of the agent's choice would carry data to the DNS server of its domain.
        if !self.allowed.permits(host) {
            return Err(Reason::NotAllowed);
        }
        if port != HTTPS {
            return Err(Reason::Port);
        }
        let addresses = self.resolve(host, port).await.ok_or(Reason::Unreachable)?;
        if !addresses.iter().all(|address| (self.is_allowed_address)(address.ip())) {
            return Err(Reason::PrivateAddress);
        }
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(addresses.as_slice())).await;
        stream.ok().and_then(Result::ok).ok_or(Reason::Unreachable)
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
        (self.report)(Refusal { host, reason });
    }
}

#[cfg(test)]
mod tests;
