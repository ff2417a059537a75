//! Calls of a self-hosted runner between jobs; all are idempotent.

use super::{Error, Http};
use crate::runner::{ClaimAnswer, ClaimRequest, HeartbeatAnswer, HeartbeatRequest, RegisterAnswer, RegisterRequest};
use pullyard_domain::id::RunnerId;

/// A client with a runner token.
#[derive(Clone)]
pub struct RunnerClient {
    http: Http,
}

impl RunnerClient {
    pub fn new(base: &str, token: &str) -> Result<Self, Error> {
        Ok(Self { http: Http::new(base, token)? })
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
}
