//! Loads projects with their budgets, repositories and forges. All reads are strong, except of pages of ids.

use crate::item::{Attributes, decode_part};
use crate::read::list::{Order, Page, VisibleRows};
use crate::read::partition::SortKeys;
use crate::{Error, Store, key};
use pullyard_domain::project::budget::{DailyUsage, Day};
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::naming::SecretProjects;
use pullyard_domain::project::spending::{Spending, SpentOn};
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::review::analysis::Analysis;
use pullyard_domain::text::id::{IntegrationId, ProjectId, RepositoryName};

/// The item under a repository's name.
#[derive(serde::Deserialize)]
struct Alias {
    sk: String,
    integration: IntegrationId,
    id: u64,
}

/// Whether the forge was disconnected. Its item remains, because stored links and decisions contain its id.
pub(crate) fn is_disconnected(integration: &Attributes) -> bool {
    integration.contains_key(key::DISCONNECTED)
}

fn parse_project_id(pk: &str) -> Option<ProjectId> {
    ProjectId::new(pk.strip_prefix("PROJECT#")?).ok()
}

fn parse_integration_id(pk: &str) -> Option<IntegrationId> {
    IntegrationId::new(pk.strip_prefix("INTEGRATION#")?).ok()
}

impl Store {
    pub async fn load_project(&self, project: &ProjectId) -> Result<Option<Project>, Error> {
        self.load(&key::project(project)).await
    }

    /// Many projects, in any order. Missing ones are omitted. An undecodable one is its error.
    pub async fn load_projects(&self, projects: &[ProjectId]) -> Result<Vec<Result<Project, Error>>, Error> {
        let keys: Vec<_> = projects.iter().map(key::project).collect();
        Ok(self.load_many(&keys).await?.iter().map(|item| self.decode(item)).collect())
    }

    /// The ids of all projects in order, and the cursor of the next page.
    pub async fn list_project_ids(&self, after: Option<&str>, limit: i32) -> Result<Page<ProjectId>, Error> {
        let (keys, next) = self.list_keys(key::PROJECT_LIST, Order::ByName, after, limit).await?;
        Ok((keys.iter().filter_map(|pk| parse_project_id(pk)).collect(), next))
    }

    /// A page of the projects that the caller may see. Reads on behind the others, because a cursor names its row.
    pub async fn list_visible_project_ids(
        &self,
        after: Option<&str>,
        limit: i32,
        may_see: impl Fn(&ProjectId) -> bool,
    ) -> Result<Page<ProjectId>, Error> {
        let (mut visible, mut from) = (VisibleRows::new(limit), after.map(str::to_owned));
        loop {
            let (rows, next) =
                self.list_rows(key::PROJECT_LIST, Order::ByName, None, from.as_deref(), limit + 1).await?;
            let ids = rows.into_iter().filter_map(|(pk, cursor)| Some((parse_project_id(&pk)?, cursor)));
            visible.rows.extend(ids.filter(|(id, _)| may_see(id)));
            if next.is_none() || visible.is_full() {
                return Ok(visible.into_page());
            }
            from = next;
        }
    }

    /// The ids of all projects in order. The index may lack a project that was created in the last second.
    pub async fn list_all_project_ids(&self) -> Result<Vec<ProjectId>, Error> {
        Ok(self.list_all_keys(key::PROJECT_LIST).await?.iter().filter_map(|pk| parse_project_id(pk)).collect())
    }

    /// The use of a project's budget on this day. `None` if no job was created under a budget, or the day is long ago.
    pub async fn load_budget(&self, project: &ProjectId, day: Day) -> Result<Option<DailyUsage>, Error> {
        self.load_part(&key::budget(project, day)).await
    }

    /// The use of the limits of a ticket or pull request. `None` if no job was created under a limit.
    pub async fn load_spending(&self, project: &ProjectId, of: &SpentOn) -> Result<Option<Spending>, Error> {
        self.load(&key::spending(project, of)).await
    }

    pub async fn list_repositories(&self, project: &ProjectId) -> Result<Vec<Repository>, Error> {
        self.list_with_prefix(&key::project(project).pk, "REPO#", "read a project's repositories").await
    }

    pub async fn load_analysis(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        repository: u64,
    ) -> Result<Option<Analysis>, Error> {
        self.load(&key::analysis(project, integration, repository)).await
    }

    pub async fn list_analyses(&self, project: &ProjectId) -> Result<Vec<Analysis>, Error> {
        let items = self.query_items(&key::analyses(project), SortKeys::All, None, "read a project's analyses").await?;
        items.iter().map(|item| self.decode(item)).collect()
    }

    /// The ids of all connected forges in order, and the cursor of the next page.
    pub async fn list_integration_ids(&self, after: Option<&str>, limit: i32) -> Result<Page<IntegrationId>, Error> {
        let (keys, next) = self.list_keys(key::INTEGRATION_LIST, Order::ByName, after, limit).await?;
        Ok((keys.iter().filter_map(|pk| parse_integration_id(pk)).collect(), next))
    }

    pub async fn list_all_integration_ids(&self) -> Result<Vec<IntegrationId>, Error> {
        Ok(self.list_all_keys(key::INTEGRATION_LIST).await?.iter().filter_map(|pk| parse_integration_id(pk)).collect())
    }

    pub async fn load_integration(&self, integration: &IntegrationId) -> Result<Option<Integration>, Error> {
        let key = key::integration(integration);
        let item = self.load_attributes(&key).await?;
        item.filter(|item| !is_disconnected(item)).map(|item| self.decode(&item)).transpose()
    }

    /// Many connected forges, in any order. An undecodable one is its error.
    pub async fn load_integrations(&self, ids: &[IntegrationId]) -> Result<Vec<Result<Integration, Error>>, Error> {
        let keys: Vec<_> = ids.iter().map(key::integration).collect();
        let items = self.load_many(&keys).await?;
        Ok(items.iter().filter(|item| !is_disconnected(item)).map(|item| self.decode(item)).collect())
    }

    /// The URL of the disconnected forge with this id; `None` if it is connected. A forge with another URL may not use
    /// the id, because its repositories may have the same ids.
    pub async fn load_former_url(&self, integration: &IntegrationId) -> Result<Option<String>, Error> {
        #[derive(serde::Deserialize)]
        struct DisconnectedForge {
            api_url: String,
        }
        let key = key::integration(integration);
        let item = self.load_attributes(&key).await?.filter(is_disconnected);
        let forge: Option<DisconnectedForge> = item.as_ref().map(decode_part).transpose()?;
        Ok(forge.map(|forge| forge.api_url))
    }

    /// The lists of these secrets, in their order. A secret without an item is omitted. The names must be unique.
    pub async fn load_secret_projects(&self, secrets: &[&str]) -> Result<Vec<SecretProjects>, Error> {
        self.load_in_order(secrets.iter().map(|secret| key::secret_projects(secret)).collect()).await
    }

    pub async fn load_repository(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        id: u64,
    ) -> Result<Option<Repository>, Error> {
        self.load(&key::repository(project, integration, id)).await
    }

    /// The repository in each project that connects it, by project.
    pub async fn list_connections(&self, integration: &IntegrationId, id: u64) -> Result<Vec<Repository>, Error> {
        let projects = self.list_all_project_ids().await?;
        let keys: Vec<_> = projects.iter().map(|project| key::repository(project, integration, id)).collect();
        let items = self.load_many(&keys).await?;
        let mut found = items.iter().map(|item| self.decode::<Repository>(item)).collect::<Result<Vec<_>, _>>()?;
        found.sort_by(|a, b| a.project.cmp(&b.project));
        Ok(found)
    }

    /// All names of a repository in its project, in lower case: two if it was added again after an unreported rename.
    pub async fn list_repository_names(&self, repository: &Repository) -> Result<Vec<RepositoryName>, Error> {
        let pk = key::project(&repository.project).pk;
        let keys = SortKeys::Prefix(key::REPOSITORY_NAMES);
        let items = self.query_items(&pk, keys, None, "read the names of a repository").await?;
        let mut aliases = items.iter().map(decode_part).collect::<Result<Vec<Alias>, _>>()?;
        aliases.retain(|alias| alias.integration == repository.integration && alias.id == repository.id);
        let name = |alias: Alias| RepositoryName::new(alias.sk.strip_prefix(key::REPOSITORY_NAMES)?).ok();
        Ok(aliases.into_iter().filter_map(name).collect())
    }

    pub async fn load_repository_by_name(
        &self,
        project: &ProjectId,
        name: &RepositoryName,
    ) -> Result<Option<Repository>, Error> {
        let key = key::repository_name(project, name);
        match self.load_part::<Alias>(&key).await? {
            None => Ok(None),
            Some(alias) => self.load_repository(project, &alias.integration, alias.id).await,
        }
    }
}
