//! Calls with an API token, for users, programs and ticket tools.

use super::{Error, Http, NoFields, RetryPolicy};
use crate::decision::Decision;
use crate::delivery::{Delivery, DeliveryPage};
use crate::event::EventPage;
use crate::integration::{
    ConnectGitHubApp, CreateIntegration, Integration, IntegrationPage, IntegrationTest, RemovedIntegration,
    SetIntegrationProjects,
};
use crate::job::{CancelJob, CreateJob, Job, JobExplanation, JobPage, JobQuery, SendInput};
use crate::project::{
    AddRepository, CreateProject, DeletedProject, Project, ProjectPage, RawProject, RemovedRepository, RenameColumn,
    RenameProject, RenamedColumn, Repositories, Repository, RepositoryTest,
};
use crate::version::Version;
use pullyard_domain::text::id::{DeliveryId, IntegrationId, JobId, ProjectId, RepositoryName};
use pullyard_domain::text::percent_encode;
use reqwest::Method;
use serde::Serialize;
use std::time::Duration;

/// A client with an API token.
#[derive(Clone)]
pub struct ApiClient {
    pub(super) http: Http,
}

impl ApiClient {
    /// Creates a client. `base` is the API's URL without `/v1`.
    pub fn new(base: &str, token: &str) -> Result<Self, Error> {
        Ok(Self { http: Http::new(base, token)? })
    }

    /// For a server that is slow because its machine is busy.
    #[must_use]
    pub fn with_call_timeout(mut self, limit: Duration) -> Self {
        self.http.call_timeout = limit;
        self
    }

    pub async fn create_integration(&self, request: &CreateIntegration) -> Result<Integration, Error> {
        self.http.post_idempotent("/v1/integrations", request).await
    }

    pub async fn connect_github_app(&self, request: &ConnectGitHubApp) -> Result<Integration, Error> {
        self.http.post_idempotent("/v1/github-apps", request).await
    }

    pub async fn integration(&self, integration: &IntegrationId) -> Result<Integration, Error> {
        self.http.get(&format!("/v1/integrations/{integration}")).await
    }

    pub async fn integrations(&self, after: Option<&str>) -> Result<IntegrationPage, Error> {
        self.http.get_page("/v1/integrations", after).await
    }

    /// Replaces the list of the projects that may use an integration.
    pub async fn set_integration_projects(
        &self,
        integration: &IntegrationId,
        list: &SetIntegrationProjects,
    ) -> Result<Integration, Error> {
        self.http.put(&format!("/v1/integrations/{integration}/projects"), list).await
    }

    pub async fn test_integration(&self, integration: &IntegrationId) -> Result<IntegrationTest, Error> {
        self.http.post_idempotent(&format!("/v1/integrations/{integration}/test"), &serde_json::json!({})).await
    }

    pub async fn remove_integration(&self, integration: &IntegrationId) -> Result<RemovedIntegration, Error> {
        let path = format!("/v1/integrations/{integration}");
        self.http.delete(&path).await
    }

    /// Version of the server. Needs no token.
    pub async fn version(&self) -> Result<Version, Error> {
        self.http.get("/v1/version").await
    }

    pub async fn projects(&self, after: Option<&str>) -> Result<ProjectPage, Error> {
        self.http.get_page("/v1/projects", after).await
    }

    pub async fn create_project(&self, request: &CreateProject) -> Result<Project, Error> {
        self.http.post_idempotent("/v1/projects", request).await
    }

    pub async fn project(&self, project: &ProjectId) -> Result<Project, Error> {
        self.http.get(&format!("/v1/projects/{project}")).await
    }

    pub async fn rename_project(&self, project: &ProjectId, request: &RenameProject) -> Result<Project, Error> {
        let call = self.http.request(Method::PATCH, &format!("/v1/projects/{project}")).json(request);
        self.http.send(call, RetryPolicy::Idempotent).await
    }

    pub async fn delete_project(&self, project: &ProjectId) -> Result<DeletedProject, Error> {
        self.http.delete(&format!("/v1/projects/{project}")).await
    }

    pub async fn rename_column(&self, project: &ProjectId, request: &RenameColumn) -> Result<RenamedColumn, Error> {
        self.http.post_idempotent(&format!("/v1/projects/{project}/columns/rename"), request).await
    }

    /// A project with all settings, so that an edit keeps those unknown to this version.
    pub async fn get_raw_project(&self, project: &ProjectId) -> Result<RawProject, Error> {
        self.http.get(&format!("/v1/projects/{project}")).await
    }

    pub async fn set_settings(
        &self,
        project: &ProjectId,
        settings: &impl Serialize,
        revision: u64,
    ) -> Result<RawProject, Error> {
        let request = self
            .http
            .request(Method::PUT, &format!("/v1/projects/{project}/settings"))
            .header("if-match", format!("\"{revision}\""))
            .json(settings);
        self.http.send(request, RetryPolicy::Never).await
    }

    pub async fn add_repository(&self, project: &ProjectId, request: &AddRepository) -> Result<Repository, Error> {
        self.http.post_idempotent(&format!("/v1/projects/{project}/repositories"), request).await
    }

    pub async fn remove_repository(
        &self,
        project: &ProjectId,
        repository: &RepositoryName,
    ) -> Result<RemovedRepository, Error> {
        let path = format!("/v1/projects/{project}/repositories/{repository}");
        self.http.delete(&path).await
    }

    pub async fn test_repository(
        &self,
        project: &ProjectId,
        repository: &RepositoryName,
    ) -> Result<RepositoryTest, Error> {
        let path = format!("/v1/projects/{project}/repositories/{repository}/test");
        self.http.post_idempotent(&path, &serde_json::json!({})).await
    }

    pub async fn repositories(&self, project: &ProjectId) -> Result<Repositories, Error> {
        self.http.get(&format!("/v1/projects/{project}/repositories")).await
    }

    /// Requests a job. Idempotent: by `idempotency_key`.
    pub async fn create_job(&self, request: &CreateJob, idempotency_key: Option<&str>) -> Result<Decision, Error> {
        self.http.post("/v1/jobs", request, idempotency_key).await
    }

    /// Cancels a job. Idempotent.
    pub async fn cancel_job(&self, job: &JobId, request: &CancelJob) -> Result<Job, Error> {
        self.http.post_idempotent(&format!("/v1/jobs/{job}/cancel"), request).await
    }

    /// Pauses a job. Idempotent.
    pub async fn pause_job(&self, job: &JobId) -> Result<Job, Error> {
        self.http.post_idempotent(&format!("/v1/jobs/{job}/pause"), &NoFields {}).await
    }

    /// Continues a paused job. Idempotent.
    pub async fn continue_job(&self, job: &JobId) -> Result<Job, Error> {
        self.http.post_idempotent(&format!("/v1/jobs/{job}/continue"), &NoFields {}).await
    }

    /// Sends a message to a job's agent. Idempotent: by `idempotency_key`.
    pub async fn send_input(&self, job: &JobId, text: &str, idempotency_key: Option<&str>) -> Result<Job, Error> {
        let answer = SendInput { text: text.to_owned() };
        self.http.post(&format!("/v1/jobs/{job}/answer"), &answer, idempotency_key).await
    }

    /// Retries an ended job as a new job. Idempotent: by `idempotency_key`.
    pub async fn retry_job(&self, job: &JobId, idempotency_key: Option<&str>) -> Result<Decision, Error> {
        self.http.post(&format!("/v1/jobs/{job}/retry"), &NoFields {}, idempotency_key).await
    }

    pub async fn job(&self, job: &JobId) -> Result<Job, Error> {
        self.http.get(&format!("/v1/jobs/{job}")).await
    }

    pub async fn jobs(&self, project: &ProjectId, after: Option<&str>) -> Result<JobPage, Error> {
        let query = JobQuery { after: after.map(str::to_owned), ..JobQuery::default() };
        self.list_jobs_matching(project, &query).await
    }

    /// Filtered jobs of a project, newest first.
    pub async fn list_jobs_matching(&self, project: &ProjectId, query: &JobQuery) -> Result<JobPage, Error> {
        let mut path = format!("/v1/jobs?project={project}");
        if !query.statuses.is_empty() {
            let statuses = query.statuses.iter().map(|status| status.as_str()).collect::<Vec<_>>();
            path.push_str(&format!("&status={}", statuses.join(",")));
        }
        path.extend(query.kind.map(|kind| format!("&kind={}", kind.as_str())));
        if let Some(ticket) = &query.ticket {
            path.push_str(&format!("&ticket={}", percent_encode(ticket.as_str())));
        }
        for (name, time) in [("since", query.since), ("until", query.until)] {
            path.extend(time.map(|time| format!("&{name}={time}")));
        }
        path.extend(query.limit.map(|limit| format!("&limit={limit}")));
        path.extend(query.after.as_ref().map(|after| format!("&after={}", percent_encode(after))));
        self.http.get(&path).await
    }

    pub async fn explain_job(&self, job: &JobId) -> Result<JobExplanation, Error> {
        self.http.get(&format!("/v1/jobs/{job}/why")).await
    }

    /// Events of a job after a cursor, or from the first.
    pub async fn events(&self, job: &JobId, after: Option<&str>) -> Result<EventPage, Error> {
        self.http.get_page(&format!("/v1/jobs/{job}/events"), after).await
    }

    pub async fn delivery(&self, delivery: &DeliveryId) -> Result<Delivery, Error> {
        self.http.get(&format!("/v1/deliveries/{delivery}")).await
    }

    pub async fn deliveries(&self, project: &ProjectId, after: Option<&str>) -> Result<DeliveryPage, Error> {
        self.http.get_page(&format!("/v1/deliveries?project={project}"), after).await
    }
}
