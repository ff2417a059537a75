//! Calls for templates.

use super::{ApiClient, Error};
use crate::run::Run;
use crate::template::{PutTemplate, StartTemplate, Template, Templates};
use pullyard_domain::id::ProjectId;
use pullyard_domain::template::{Submission, TemplateId};

impl ApiClient {
    pub async fn templates(&self, project: &ProjectId) -> Result<Templates, Error> {
        self.http.get(&format!("/v1/templates/{project}")).await
    }

    pub async fn template(&self, id: &TemplateId) -> Result<Template, Error> {
        self.http.get(&format!("/v1/templates/{id}")).await
    }

    pub async fn put_template(&self, id: &TemplateId, request: &PutTemplate) -> Result<Template, Error> {
        self.http.put(&format!("/v1/templates/{id}"), request).await
    }

    pub async fn delete_template(&self, id: &TemplateId) -> Result<Template, Error> {
        self.http.delete(&format!("/v1/templates/{id}")).await
    }

    /// Starts a run. Idempotent: by `run_id` of the request, else by `idempotency_key`.
    pub async fn start_template(
        &self,
        id: &TemplateId,
        request: &StartTemplate,
        idempotency_key: Option<&str>,
    ) -> Result<Run, Error> {
        self.http.post(&format!("/v1/templates/{id}/runs"), request, idempotency_key).await
    }

    /// Starts the run of a submission, or returns the first one with its id. Idempotent.
    pub async fn submit(&self, submission: &Submission) -> Result<Run, Error> {
        self.http.post_idempotent("/v1/submissions", submission).await
    }
}
