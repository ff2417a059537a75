//! Calls for holds and budgets.

use super::{ApiClient, Error, NoFields};
use crate::project::{BudgetUse, HoldProject, Project};
use pullyard_domain::text::id::ProjectId;

impl ApiClient {
    /// Holds a project. Idempotent.
    pub async fn hold_project(&self, project: &ProjectId, request: &HoldProject) -> Result<Project, Error> {
        self.http.post_idempotent(&format!("/v1/projects/{project}/hold"), request).await
    }

    /// Releases a project. Idempotent.
    pub async fn release_project(&self, project: &ProjectId) -> Result<Project, Error> {
        self.http.post_idempotent(&format!("/v1/projects/{project}/release"), &NoFields {}).await
    }

    pub async fn budget(&self, project: &ProjectId) -> Result<BudgetUse, Error> {
        self.http.get(&format!("/v1/projects/{project}/budget")).await
    }
}
