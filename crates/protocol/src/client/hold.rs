//! Calls for holds and budgets.

use super::{Error, Operator, Repeat};
use crate::project::{BudgetUse, HoldProject, Project, ReleaseProject};
use pullyard_domain::id::ProjectId;

impl Operator {
    /// Holds a project. Idempotent.
    pub async fn hold(&self, project: &ProjectId, request: &HoldProject) -> Result<Project, Error> {
        self.http.post(&format!("/v1/projects/{project}/hold"), request, Repeat::Safe).await
    }

    /// Releases a project. Idempotent.
    pub async fn release(&self, project: &ProjectId) -> Result<Project, Error> {
        self.http.post(&format!("/v1/projects/{project}/release"), &ReleaseProject {}, Repeat::Safe).await
    }

    /// Daily budget and today's use.
    pub async fn budget(&self, project: &ProjectId) -> Result<BudgetUse, Error> {
        self.http.get(&format!("/v1/projects/{project}/budget")).await
    }
}
