//! Sends one request to an address that a user gave.

use crate::{AllowedRanges, Error};
use pullyard_domain::text::host::{ExchangeLog, Exchanges};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Method, StatusCode, Url, redirect};
use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout_at};

/// Limit of an answer that is read for its status. Units: bytes.
pub const MAX_ANSWER: usize = 64 * 1024;
/// Limit of an answer that is read for its content. Units: bytes.
pub const MAX_READ: usize = 4 * 1024 * 1024;

/// Time limit of an exchange, from the look-up of the name to the end of the answer.
const LIMIT: Duration = Duration::from_secs(15);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Short, because a frozen function notices late that the server closed an idle connection.
const POOL_IDLE_LIMIT: Duration = Duration::from_secs(15);
const PORTS: [u16; 2] = [443, 8443];

/// Cheap to clone; the clones share connections.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    allowed: AllowedRanges,
    limit: Duration,
    exchanges: Mutex<ExchangeLog>,
    #[cfg(test)]
    dns: Option<tests::Dns>,
    /// Created when it is needed, because the certificates take long to read.
    https: OnceLock<Result<reqwest::Client, String>>,
    http: OnceLock<Result<reqwest::Client, String>>,
}

#[derive(Debug)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// [`MAX_ANSWER`] or [`MAX_READ`]. With the former, a body that is longer, late or broken is cut.
    pub max_response_bytes: usize,
}

#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Response {
    /// The pause that the server requests, if it states seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new(AllowedRanges::default())
    }
}

impl Client {
    /// Makes no call.
    pub fn new(allowed: AllowedRanges) -> Self {
        Self::with_limit(allowed, LIMIT)
    }

    /// Like `new` with another time limit, for tests with hosts that never answer.
    pub fn with_limit(allowed: AllowedRanges, limit: Duration) -> Self {
        Self(Arc::new(Inner {
            allowed,
            limit,
            exchanges: Mutex::default(),
            #[cfg(test)]
            dns: None,
            https: OnceLock::new(),
            http: OnceLock::new(),
        }))
    }

    /// Checks an address without a look-up: `https` on port 443 or 8443, without user and password. A literal address in
    /// an allowed range, or `localhost` if this machine is allowed, may also use `http` and any port.
    /// Errors: `Url`, `AddressNotAllowed`.
    pub fn parse_url(&self, text: &str) -> Result<Url, Error> {
        let url = text.trim().parse().map_err(|_| refused("it is not a URL; write it as https://host/path"))?;
        self.check_url(&url)?;
        Ok(url)
    }

    fn check_url(&self, url: &Url) -> Result<(), Error> {
        if !matches!(url.scheme(), "https" | "http") {
            return Err(refused("it must begin with https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it contains a user or a password; store them as a secret"));
        }
        if let Some(address) = literal_address(url) {
            if self.0.allowed.contain(address) {
                return Ok(());
            }
            if !self.0.allowed.permit(address) {
                return Err(Error::AddressNotAllowed);
            }
        }
        if url.scheme() != "https" {
            return Err(refused("it must begin with https://"));
        }
        if !PORTS.contains(&url.port_or_known_default().unwrap_or_default()) {
            return Err(refused("its port must be 443 or 8443"));
        }
        Ok(())
    }

    /// Sends the request once, for at most 15 s. Returns every status, also a redirect.
    /// After a failure, it is unknown whether the request arrived.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        self.check_url(&request.url)?;
        let url = request.url.to_string();
        let (result, is_late) = self.exchange(request).await;
        match &result {
            _ if is_late => self.log(&url, true),
            Ok(_) => self.log(&url, false),
            Err(Error::Timeout { .. }) => self.log(&url, true),
            Err(_) => {}
        }
        result
    }

    /// The exchanges of this client and its copies with a host, as `host_of` names it.
    pub fn exchanges(&self, host: &str) -> Exchanges {
        self.0.exchanges.lock().unwrap_or_else(PoisonError::into_inner).count(host)
    }

    fn log(&self, url: &str, is_timeout: bool) {
        self.0.exchanges.lock().unwrap_or_else(PoisonError::into_inner).add(url, is_timeout);
    }

    /// Also returns whether the body was late, which is no failure of a request for the status only.
    async fn exchange(&self, request: Request) -> (Result<Response, Error>, bool) {
        let mut is_late = false;
        let result = self.exchange_in_time(request, &mut is_late).await;
        (result, is_late)
    }

    async fn exchange_in_time(&self, request: Request, is_late: &mut bool) -> Result<Response, Error> {
        let Request { method, url, headers, body, max_response_bytes } = request;
        let limit = self.0.limit;
        let (deadline, late) = (Instant::now() + limit, |_| Error::Timeout { limit });
        let http = self.connections(&url)?.request(method, url).headers(headers).body(body);
        let answer = timeout_at(deadline, http.send()).await.map_err(late)?;
        let mut response = answer.map_err(|error| exchange_error(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        let read = async {
            while let Some(chunk) = response.chunk().await.map_err(|error| exchange_error(&error))? {
                if body.len() + chunk.len() > max_response_bytes {
                    return Err(Error::TooLarge { limit: max_response_bytes });
                }
                body.extend_from_slice(&chunk);
            }
            Ok(())
        };
        let read = timeout_at(deadline, read).await;
        *is_late = read.is_err();
        match read.map_err(late).flatten() {
            Err(error) if max_response_bytes > MAX_ANSWER => Err(error),
            _ => Ok(Response { status, headers, body }),
        }
    }

    fn guard(&self) -> Guard {
        Guard {
            allowed: self.0.allowed.clone(),
            #[cfg(test)]
            dns: self.0.dns.clone(),
        }
    }

    fn connections(&self, url: &Url) -> Result<&reqwest::Client, Error> {
        let needs_certificates = url.scheme() == "https";
        let clients = if needs_certificates { &self.0.https } else { &self.0.http };
        let client = clients.get_or_init(|| build(self.guard(), needs_certificates).map_err(|error| error.to_string()));
        client.as_ref().map_err(|reason| Error::Unreachable { reason: reason.clone() })
    }
}

fn build(guard: Guard, needs_certificates: bool) -> Result<reqwest::Client, reqwest::Error> {
    let client = reqwest::Client::builder()
        .default_headers(HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static("pullyard"))]))
        .connect_timeout(CONNECT_LIMIT)
        .pool_idle_timeout(POOL_IDLE_LIMIT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(guard));
    if needs_certificates { client } else { client.tls_certs_only([]) }.build()
}

fn refused(reason: &'static str) -> Error {
    Error::Url { reason }
}

/// The address in a URL that needs no look-up. The parser of URLs has translated all spellings, such as `127.1`.
fn literal_address(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?.trim_end_matches('.');
    if host == "localhost" {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Looks up names, and returns only the permitted addresses. The client connects only to these.
#[derive(Clone)]
struct Guard {
    allowed: AllowedRanges,
    /// Replaces DNS in tests.
    #[cfg(test)]
    dns: Option<tests::Dns>,
}

#[derive(Debug, thiserror::Error)]
#[error("no address of the name is allowed")]
struct NotAllowed;

impl Guard {
    async fn look_up(&self, name: &str) -> std::io::Result<Vec<SocketAddr>> {
        #[cfg(test)]
        if let Some(dns) = &self.dns {
            return Ok(dns.answer());
        }
        Ok(lookup_host((name, 0)).await?.collect())
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = guard.look_up(name.as_str()).await?;
            let permitted = found.into_iter().filter(|address| guard.allowed.permit(address.ip())).collect::<Vec<_>>();
            if permitted.is_empty() { Err(NotAllowed.into()) } else { Ok(Box::new(permitted.into_iter()) as Addrs) }
        })
    }
}

fn exchange_error(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::Timeout { limit: CONNECT_LIMIT };
    }
    let mut cause = error.source();
    let mut reason = "the connection failed".to_owned();
    while let Some(error) = cause {
        if error.is::<NotAllowed>() {
            return Error::AddressNotAllowed;
        }
        reason = error.to_string();
        cause = error.source();
    }
    Error::Unreachable { reason }
}

#[cfg(test)]
mod tests;
