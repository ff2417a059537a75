//! Sends one HTTP request with limits, redirects and retries, and maps each status to an error.

use std::{error::Error as _, time::Duration};

use reqwest::{
    Method, Response, StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, USER_AGENT},
    redirect,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::{sleep, timeout};

use crate::{
    Connections, Endpoint, Error, Token,
    names::RepositoryName,
    rate_limit::{is_content_limit, is_rate_limit, retry_after},
    retry,
    stand_in::{Exchange, StandIn},
};

/// Time limit per try, with redirects and body.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Short, because a frozen function notices late that the server closed an idle connection, and may lose a write.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_REDIRECTS: u32 = 3;
const MAX_RESPONSE_BYTES: usize = 8 * 1024 * 1024;

/// Time limit per try inside a request with a short deadline.
const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) trait ForgeApi: Clone {
    fn authorization(&self) -> Result<Authorization, Error>;

    fn headers(&self) -> HeaderMap;

    fn parse_message(body: &[u8]) -> String;

    fn parse_reason(status: StatusCode, body: &[u8]) -> Option<String>;

    /// Whether the API sends such a body with an error status. Any other body is from a program before the API.
    fn is_error_body(status: StatusCode, body: &[u8]) -> bool;
}

#[derive(Default)]
pub(crate) struct Authorization {
    pub(crate) header: Option<HeaderValue>,
    /// Redacted in errors if the response repeats them.
    pub(crate) secrets: Vec<Token>,
}

/// More than one try is allowed only for calls that are safe to repeat.
#[derive(Clone, Copy)]
pub(crate) enum RetryPolicy {
    Once,
    Retry,
    Short,
}

impl RetryPolicy {
    fn limit(self) -> Duration {
        match self {
            Self::Once | Self::Retry => TRY_TIMEOUT,
            Self::Short => SHORT_TIMEOUT,
        }
    }
}

#[derive(Deserialize)]
struct RenamedRepository {
    full_name: String,
}

#[derive(Clone)]
enum Transport {
    Network(reqwest::Client),
    StandIn(StandIn),
}

impl Transport {
    async fn pause(&self, by: Duration) {
        match self {
            Self::Network(_) => sleep(by).await,
            Self::StandIn(stand_in) => (stand_in.pause)(by).await,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Client<C> {
    transport: Transport,
    connections: Connections,
    pub(crate) api_url: Url,
    pub(crate) host: String,
    api: C,
}

impl<C> std::fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("api_url", &self.api_url.as_str()).finish_non_exhaustive()
    }
}

pub(crate) struct RawResponse {
    status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Vec<u8>,
    secrets: Vec<Token>,
}

impl RawResponse {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| secret.redact(&text))
    }
}

impl<C: ForgeApi> Client<C> {
    /// Makes no call. Errors: `Settings` for a malformed address.
    pub(crate) fn build(endpoint: &Endpoint, api: C) -> Result<Self, Error> {
        let refuse = |reason: &str| Error::Settings { reason: reason.to_owned() };
        let api_url: Url = endpoint.api_url.parse().map_err(|_| refuse("the API's address is not a URL"))?;
        if !matches!(api_url.scheme(), "https" | "http") {
            return Err(refuse("the API's address must begin with https: or http:"));
        }
        if !api_url.username().is_empty() || api_url.password().is_some() {
            return Err(refuse("the API's address contains a password"));
        }
        let host = match (api_url.host_str(), api_url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err(refuse("the API's address has no host")),
        };
        let transport = match endpoint.connections.stand_in() {
            Some(stand_in) => Transport::StandIn(stand_in.clone()),
            None => {
                let this_machine = api_url.scheme() == "http" && is_loopback(&api_url);
                let http = endpoint.connections.client(this_machine, || build_http_client(this_machine));
                Transport::Network(http.map_err(|error| refuse(&innermost_cause(&error)))?)
            }
        };
        Ok(Self { transport, connections: endpoint.connections.clone(), api_url, host, api })
    }

    pub(crate) fn map_api<D>(self, map: impl FnOnce(C) -> D) -> Client<D> {
        let Self { transport, connections, api_url, host, api } = self;
        Client { transport, connections, api_url, host, api: map(api) }
    }

    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        let mut address = self.api_url.clone();
        // Never fails: http and https URLs have paths.
        if let Ok(mut path) = address.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        address
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        address: Url,
        resource: &str,
        policy: RetryPolicy,
    ) -> Result<T, Error> {
        self.get_with_headers(address, resource, policy).await.map(|(answer, _)| answer)
    }

    pub(crate) async fn get_with_headers<T: DeserializeOwned>(
        &self,
        address: Url,
        resource: &str,
        policy: RetryPolicy,
    ) -> Result<(T, HeaderMap), Error> {
        let read = |answer: RawResponse| Ok((self.parse(&answer)?, answer.headers));
        self.call(Method::GET, &address, None, resource, policy, read).await
    }

    /// Sends once: after a failure it is unknown whether the request arrived.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        address: Url,
        resource: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Error> {
        self.send(Method::POST, address, resource, body, RetryPolicy::Once).await
    }

    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        address: Url,
        resource: &str,
        body: &(impl Serialize + Sync),
        policy: RetryPolicy,
    ) -> Result<T, Error> {
        let read = |answer| self.parse(&answer);
        self.call(method, &address, Some(to_json(body)?), resource, policy, read).await
    }

    pub(crate) async fn send_ignoring_response(
        &self,
        method: Method,
        address: Url,
        resource: &str,
        policy: RetryPolicy,
    ) -> Result<(), Error> {
        match self.call(method, &address, None, resource, policy, |_| Ok(())).await {
            // The forge accepted the request and will execute it soon.
            Err(Error::Unexpected { status: 202, .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Idempotent: a missing item counts as deleted.
    pub(crate) async fn delete(&self, address: Url, resource: &str) -> Result<(), Error> {
        match self.send_ignoring_response(Method::DELETE, address, resource, RetryPolicy::Retry).await {
            Err(Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn pause(&self, by: Duration) {
        self.transport.pause(by).await;
    }

    pub(crate) fn unexpected_response(&self, message: &str) -> Error {
        unexpected_status_error(StatusCode::OK, message)
    }

    /// `read` parses a success; its errors are retried like errors of the exchange.
    pub(crate) async fn call<T>(
        &self,
        method: Method,
        address: &Url,
        body: Option<Vec<u8>>,
        resource: &str,
        policy: RetryPolicy,
        read: impl Fn(RawResponse) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut tries = 0;
        loop {
            let answer = self.send_once(method.clone(), address, body.clone(), resource, policy.limit()).await;
            let error = match answer.and_then(&read) {
                Ok(parsed) => return Ok(parsed),
                Err(error) => error,
            };
            tries += 1;
            let is_accepted = method != Method::GET && matches!(error, Error::Unexpected { status: 202, .. });
            let pause = match policy {
                RetryPolicy::Retry if !is_accepted => retry::retry_delay(&error, tries),
                _ => None,
            };
            match pause {
                Some(pause) => self.pause(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn send_once(
        &self,
        method: Method,
        address: &Url,
        body: Option<Vec<u8>>,
        subject: &str,
        limit: Duration,
    ) -> Result<RawResponse, Error> {
        let exchange = self.exchange(method, address.clone(), body);
        let answer = match &self.transport {
            Transport::Network(_) => {
                let answer = timeout(limit, exchange).await;
                match &answer {
                    Err(_) => self.connections.log(self.api_url.as_str(), true),
                    Ok(Ok(_)) => self.connections.log(self.api_url.as_str(), false),
                    Ok(Err(_)) => {}
                }
                answer.map_err(|_| Error::Unreachable {
                    host: self.host.clone(),
                    reason: format!("no complete response within {} s", limit.as_secs()),
                })??
            }
            // Stand-ins set their own time limits.
            Transport::StandIn(_) => exchange.await?,
        };
        self.check_status(answer, subject)
    }

    async fn exchange(&self, method: Method, mut address: Url, body: Option<Vec<u8>>) -> Result<RawResponse, Error> {
        let http = match &self.transport {
            Transport::Network(http) => http,
            Transport::StandIn(stand_in) => return self.exchange_with(stand_in, &method, &address, body).await,
        };
        let mut redirects = 0;
        loop {
            let Authorization { header, secrets } = self.api.authorization()?;
            let mut request = http.request(method.clone(), address.clone()).headers(self.api.headers());
            if let Some(header) = header {
                request = request.header(AUTHORIZATION, header);
            }
            if let Some(body) = &body {
                request = request.header("content-type", "application/json").body(body.clone());
            }
            let response = request.send().await.map_err(|error| self.unreachable(&error))?;
            let target = match response.headers().get(LOCATION) {
                Some(target) if response.status().is_redirection() => target,
                _ => return self.read_body(response, secrets).await,
            };
            let status = response.status();
            // GitHub redirects writes to a renamed repository with 307, Bitbucket with 301, after which a client may send
            // a GET to the target. So only 307 and 308 repeat a write at the target.
            let is_followed = method == Method::GET
                || matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
            let target = target.to_str().ok().and_then(|target| address.join(target).ok());
            address = match target {
                _ if redirects == MAX_REDIRECTS => Err("it redirects in circles"),
                // Never send the token to another host.
                Some(target) if target.origin() == self.api_url.origin() => match is_followed {
                    true => Ok(target),
                    false => {
                        Box::pin(self.find_renamed(&address)).await?.ok_or("it redirects; was the repository renamed?")
                    }
                },
                _ => Err("it redirects to another host"),
            }
            .map_err(|message| unexpected_status_error(status, message))?;
            redirects += 1;
        }
    }

    /// The address below the present name of its repository; `None` if this is its name.
    async fn find_renamed(&self, address: &Url) -> Result<Option<Url>, Error> {
        let root = self.api_url.path().trim_end_matches('/');
        let path: Vec<&str> = address.path().strip_prefix(root).unwrap_or_default().splitn(5, '/').collect();
        let [_, collection @ ("repos" | "repositories"), owner, name, rest @ ..] = &path[..] else {
            return Ok(None);
        };
        let answer = self.exchange(Method::GET, self.url(&[collection, owner, name]), None).await?;
        let answer = self.check_status(answer, &format!("{owner}/{name}"))?;
        let RenamedRepository { full_name } = self.parse(&answer)?;
        let RepositoryName { owner: new_owner, name: new_name } = RepositoryName::parse(&full_name)?;
        if (new_owner, new_name) == (*owner, *name) {
            return Ok(None);
        }
        let mut renamed = address.clone();
        renamed.set_path(&[&[root, collection, new_owner, new_name], rest].concat().join("/"));
        Ok(Some(renamed))
    }

    async fn exchange_with(
        &self,
        stand_in: &StandIn,
        method: &Method,
        address: &Url,
        body: Option<Vec<u8>>,
    ) -> Result<RawResponse, Error> {
        let secrets = self.api.authorization()?.secrets;
        let exchange =
            Exchange { method: method.to_string(), url: address.to_string(), body: body.unwrap_or_default() };
        let Some((status, body)) = (stand_in.exchange)(exchange).await else {
            return Err(Error::Unreachable { host: self.host.clone(), reason: "the connection broke".to_owned() });
        };
        let status = StatusCode::from_u16(status).map_err(|_| self.unexpected_response("its status is invalid"))?;
        Ok(RawResponse { status, headers: HeaderMap::new(), body, secrets })
    }

    async fn read_body(&self, mut response: Response, secrets: Vec<Token>) -> Result<RawResponse, Error> {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(unexpected_status_error(status, "the response is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(RawResponse { status, headers, body, secrets })
    }

    fn check_status(&self, answer: RawResponse, subject: &str) -> Result<RawResponse, Error> {
        let host = || self.host.clone();
        let subject = || subject.to_owned();
        // Redact before truncating; otherwise the first part of a token could remain.
        let body = || answer.redact(&String::from_utf8_lossy(&answer.body)).into_bytes();
        let message = || C::parse_message(&body());
        Err(match answer.status {
            StatusCode::ACCEPTED => unexpected_status_error(answer.status, "the response is not ready yet"),
            status if status.is_success() && is_web_page(&answer.body) => unreadable_error(&answer),
            status if status.is_success() => return Ok(answer),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN
                if is_rate_limit(answer.status, &answer.headers, &C::parse_message(&answer.body)) =>
            {
                Error::RateLimited { host: host(), retry_after: retry_after(&answer.headers) }
            }
            status if status.is_client_error() && !C::is_error_body(status, &answer.body) => unreadable_error(&answer),
            StatusCode::UNAUTHORIZED => Error::Denied { host: host(), message: message() },
            StatusCode::FORBIDDEN => Error::Forbidden { resource: subject(), message: message() },
            StatusCode::NOT_FOUND | StatusCode::GONE => Error::NotFound { resource: subject(), message: message() },
            status => match C::parse_reason(status, &body()) {
                Some(reason) if is_content_limit(&reason) => {
                    Error::RateLimited { host: host(), retry_after: retry_after(&answer.headers) }
                }
                Some(reason) => Error::Refused { reason },
                None => Error::Unexpected { status: status.as_u16(), message: message() },
            },
        })
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self, answer: &RawResponse) -> Result<T, Error> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let reason = answer.redact(&format!("unexpected JSON: {error}"));
            Error::Unreadable { status: answer.status.as_u16(), reason }
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        if error.is_timeout() {
            self.connections.log(self.api_url.as_str(), true);
        }
        Error::Unreachable { host: self.host.clone(), reason: innermost_cause(error) }
    }
}

pub(crate) fn to_json(body: &(impl Serialize + Sync)) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|error| Error::Settings { reason: error.to_string() })
}

fn unreadable_error(answer: &RawResponse) -> Error {
    let reason = if is_web_page(&answer.body) { "it is a web page" } else { "it is no error of the API" };
    Error::Unreadable { status: answer.status.as_u16(), reason: reason.to_owned() }
}

/// The forges' APIs answer in JSON; a page is from a proxy, a portal or a load balancer before them.
pub(crate) fn is_web_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

fn unexpected_status_error(status: StatusCode, message: &str) -> Error {
    Error::Unexpected { status: status.as_u16(), message: message.to_owned() }
}

fn build_http_client(to_this_machine: bool) -> Result<reqwest::Client, reqwest::Error> {
    // No credentials or forge headers here: the clients of several forges share it.
    let headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static("pullyard"))]);
    let http = reqwest::Client::builder()
        .default_headers(headers)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        // reqwest would turn a redirected POST into a GET.
        .redirect(redirect::Policy::none());
    // A proxy cannot reach loopback addresses, and plain HTTP needs no certificates, which take long to read.
    if to_this_machine { http.no_proxy().tls_certs_only([]) } else { http }.build()
}

fn is_loopback(address: &Url) -> bool {
    let host = address.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || literal.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Returns the innermost cause, because reqwest's own message has no details.
fn innermost_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut message = None;
    while let Some(error) = cause {
        message = Some(error.to_string());
        cause = error.source();
    }
    message.unwrap_or_else(|| "the connection failed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_bypass_the_proxy() {
        let check = |address: &str| is_loopback(&address.parse().unwrap());
        for here in ["http://127.0.0.1:1", "http://127.9.9.9/api/v3", "https://localhost", "http://[::1]:8"] {
            assert!(check(here), "{here}");
        }
        for elsewhere in ["https://api.github.com", "http://localhost.example", "http://10.0.0.1", "http://[::2]"] {
            assert!(!check(elsewhere), "{elsewhere}");
        }
    }
}
