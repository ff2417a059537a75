//! Projects, their repositories, connected forges.

use crate::{Error, Store, key};
use pullyard_domain::id::{IntegrationId, ProjectId, RepositoryName};
use pullyard_domain::project::{Integration, Project, Repository};

impl Store {
    /// A project, read strongly.
    pub async fn project(&self, project: &ProjectId) -> Result<Option<Project>, Error> {
        self.get(&key::project(project)).await
    }

    /// A connected forge, read strongly.
    pub async fn integration(&self, integration: &IntegrationId) -> Result<Option<Integration>, Error> {
        self.get(&key::integration(integration)).await
    }

    /// A project's repository by the forge's id, read strongly.
    pub async fn repository(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        id: u64,
    ) -> Result<Option<Repository>, Error> {
        self.get(&key::repository(project, integration, id)).await
    }

    /// A project's repository by its name in any case, read strongly.
    pub async fn repository_named(
        &self,
        project: &ProjectId,
        name: &RepositoryName,
    ) -> Result<Option<Repository>, Error> {
        #[derive(serde::Deserialize)]
        struct Alias {
            integration: IntegrationId,
            id: u64,
        }
        match self.get::<Alias>(&key::repository_name(project, name)).await? {
            None => Ok(None),
            Some(alias) => self.repository(project, &alias.integration, alias.id).await,
        }
    }
}
