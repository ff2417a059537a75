//! Calls of a self-hosted runner between jobs; all are idempotent.

use super::{Error, Http, root_cause};
use crate::runner::{ClaimAnswer, ClaimRequest, HeartbeatAnswer, HeartbeatRequest, RegisterAnswer, RegisterRequest};
use pullyard_domain::text::id::RunnerId;
use reqwest::{Method, StatusCode};
use std::time::Duration;

/// Longer than the wait of the route.
const WAKE_TIMEOUT: Duration = Duration::from_secs(25);

/// A client with a runner token.
#[derive(Clone)]
pub struct RunnerClient {
    http: Http,
}

impl RunnerClient {
    pub fn new(base: &str, token: &str) -> Result<Self, Error> {
        Ok(Self { http: Http::new(base, token)? })
    }

    /// For a server that is slow because its machine is busy.
    #[must_use]
    pub fn with_call_timeout(mut self, limit: Duration) -> Self {
        self.http.call_timeout = limit;
        self
    }

    pub async fn register(&self, request: &RegisterRequest) -> Result<RegisterAnswer, Error> {
        self.http.post_idempotent("/v1/runners", request).await
    }

    pub async fn heartbeat(&self, runner: &RunnerId, request: &HeartbeatRequest) -> Result<HeartbeatAnswer, Error> {
        self.http.post_idempotent(&format!("/v1/runners/{runner}/heartbeat"), request).await
    }

    pub async fn claim(&self, runner: &RunnerId, request: &ClaimRequest) -> Result<ClaimAnswer, Error> {
        self.http.post_idempotent(&format!("/v1/runners/{runner}/claim"), request).await
    }

    /// Waits up to 20 seconds for hints at a mailbox, with one try. Returns the answer's text, whose format is that of
    /// API Gateway's integration.
    pub async fn receive_hints(&self, mailbox: &str) -> Result<String, Error> {
        let url = format!("{}/v1/wake", self.http.base);
        let unreachable = |error| Error::Unreachable { url: url.clone(), reason: root_cause(&error) };
        let request = self.http.request(Method::GET, "/v1/wake").header("pullyard-mailbox", mailbox);
        let answer = request.timeout(WAKE_TIMEOUT).send().await.map_err(unreachable)?;
        match answer.status() {
            StatusCode::OK => answer.text().await.map_err(unreachable),
            status => Err(Error::Unreadable { url, reason: format!("the status is {status}") }),
        }
    }
}
