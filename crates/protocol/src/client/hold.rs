//! The calls that hold and release projects, and show what they have used up.

use super::{Error, Operator, Repeat};
use crate::project::{BudgetUse, HoldProject, Project, ReleaseProject};
use pullyard_domain::id::ProjectId;

impl Operator {
    /// Holds a project. One that is held stays as it is.
    pub async fn hold(&self, project: &ProjectId, request: &HoldProject) -> Result<Project, Error> {
        self.http.post(&format!("/v1/projects/{project}/hold"), request, Repeat::Safe).await
    }

    /// Releases a project. One that is not held stays as it is.
    pub async fn release(&self, project: &ProjectId) -> Result<Project, Error> {
        self.http.post(&format!("/v1/projects/{project}/release"), &ReleaseProject {}, Repeat::Safe).await
    }

    /// What a project may use up on each day, and what it has used up today.
    pub async fn budget(&self, project: &ProjectId) -> Result<BudgetUse, Error> {
        self.http.get(&format!("/v1/projects/{project}/budget")).await
    }
}
