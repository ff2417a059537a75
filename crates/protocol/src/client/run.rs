//! Calls for runs.

use super::{ApiClient, Error, NoFields};
use crate::run::{CheckPlan, MergeRun, OpenPullRequest, ResumeRun, Run, RunPage, StartRun};
use pullyard_domain::id::{ProjectId, RunId};
use serde::de::IgnoredAny;

impl ApiClient {
    /// Changes nothing.
    pub async fn check_plan(&self, request: &CheckPlan) -> Result<(), Error> {
        // A later server may return fields.
        let IgnoredAny = self.http.post_idempotent("/v1/plans/check", request).await?;
        Ok(())
    }

    /// Starts a run. Idempotent: by `run_id` of the request, else by `idempotency_key`.
    pub async fn start_run(&self, request: &StartRun, idempotency_key: Option<&str>) -> Result<Run, Error> {
        self.http.post("/v1/runs", request, idempotency_key).await
    }

    pub async fn runs(&self, project: &ProjectId, after: Option<&str>) -> Result<RunPage, Error> {
        self.http.get_page(&format!("/v1/runs?project={project}"), after).await
    }

    pub async fn run(&self, run: &RunId) -> Result<Run, Error> {
        self.http.get(&format!("/v1/runs/{run}")).await
    }

    /// A run with its plan and the values of its parameters.
    pub async fn run_with_plan(&self, run: &RunId) -> Result<Run, Error> {
        self.http.get(&format!("/v1/runs/{run}?plan=true")).await
    }

    /// Idempotent.
    pub async fn cancel_run(&self, run: &RunId) -> Result<Run, Error> {
        self.http.post_idempotent(&format!("/v1/runs/{run}/cancel"), &NoFields {}).await
    }

    /// Not repeated: the run may have failed again.
    pub async fn resume_run(&self, run: &RunId, request: &ResumeRun) -> Result<Run, Error> {
        self.http.post_once(&format!("/v1/runs/{run}/resume"), request).await
    }

    /// Idempotent.
    pub async fn open_pull_request(&self, run: &RunId, request: &OpenPullRequest) -> Result<Run, Error> {
        self.http.post_idempotent(&format!("/v1/runs/{run}/pull-request"), request).await
    }

    /// Idempotent.
    pub async fn merge_run(&self, run: &RunId, request: &MergeRun) -> Result<Run, Error> {
        self.http.post_idempotent(&format!("/v1/runs/{run}/pull-request/merge"), request).await
    }

    /// Idempotent. `answer`: `approve` or `refuse`. The caller checks the form of the step's name.
    pub async fn answer_step(&self, run: &RunId, step: &str, answer: &str) -> Result<Run, Error> {
        self.http.post_idempotent(&format!("/v1/runs/{run}/steps/{step}/{answer}"), &NoFields {}).await
    }
}
