//! Calls of one attempt; all are idempotent.

use super::{Error, Http, NoFields};
use crate::artifact::{ArtifactUpload, NewArtifact};
use crate::attempt::{
    Assignment, CheckpointAnswer, Credentials, EventsAnswer, EventsRequest, FinishAnswer, FinishRequest, InputsAnswer,
    StartRequest, StatusAnswer, StatusRequest, YieldAnswer, YieldRequest,
};
use pullyard_domain::text::id::{ArtifactId, JobId};
use pullyard_domain::text::trace::TraceId;
use std::time::Duration;

/// A client with an attempt's lease, or with the task's bootstrap token for [`start`](Self::start).
#[derive(Clone)]
pub struct AttemptClient {
    http: Http,
    path: String,
}

impl AttemptClient {
    pub fn new(base: &str, lease: &str, job: &JobId, attempt: u32) -> Result<Self, Error> {
        Ok(Self { http: Http::new(base, lease)?, path: format!("/v1/jobs/{job}/attempts/{attempt}") })
    }

    /// For a server that is slow because its machine is busy.
    #[must_use]
    pub fn with_call_timeout(mut self, limit: Duration) -> Self {
        self.http.call_timeout = limit;
        self
    }

    pub fn with_trace(mut self, trace: Option<TraceId>) -> Self {
        self.http.trace = trace;
        self
    }

    /// Exchanges the bootstrap token for the assignment and its lease.
    pub async fn start(&self, request: &StartRequest) -> Result<Assignment, Error> {
        self.call("start", request).await
    }

    pub async fn status(&self, request: &StatusRequest) -> Result<StatusAnswer, Error> {
        self.call("status", request).await
    }

    /// Sends a batch of events; an empty one is a heartbeat.
    pub async fn events(&self, request: &EventsRequest) -> Result<EventsAnswer, Error> {
        self.call("events", request).await
    }

    pub async fn credentials(&self) -> Result<Credentials, Error> {
        self.call("credentials", &NoFields {}).await
    }

    pub async fn reserve_artifact(&self, request: &NewArtifact) -> Result<ArtifactUpload, Error> {
        self.call("artifacts", request).await
    }

    pub async fn confirm_artifact(&self, artifact: &ArtifactId) -> Result<NoFields, Error> {
        self.call(&format!("artifacts/{artifact}/stored"), &NoFields {}).await
    }

    pub async fn inputs(&self, after: u32) -> Result<InputsAnswer, Error> {
        self.http.get(&format!("{}/inputs?after={after}", self.path)).await
    }

    pub async fn checkpoint(&self) -> Result<CheckpointAnswer, Error> {
        self.http.get(&format!("{}/checkpoint", self.path)).await
    }

    pub async fn yield_job(&self, request: &YieldRequest) -> Result<YieldAnswer, Error> {
        self.call("yield", request).await
    }

    pub async fn finish(&self, request: &FinishRequest) -> Result<FinishAnswer, Error> {
        self.call("finish", request).await
    }

    async fn call<A: serde::de::DeserializeOwned>(
        &self,
        operation: &str,
        body: &impl serde::Serialize,
    ) -> Result<A, Error> {
        self.http.post_idempotent(&format!("{}/{operation}", self.path), body).await
    }
}
