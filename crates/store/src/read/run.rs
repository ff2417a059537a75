//! Reads runs, and the templates and schedules that start them.

use crate::item::blob;
use crate::read::list::{Order, Page};
use crate::{Error, Store, key};
use pullyard_domain::project::schedule::{Schedule, ScheduleId};
use pullyard_domain::project::template::{Template, TemplateId};
use pullyard_domain::run::{FrozenPlan, Group, Run};
use pullyard_domain::text::id::{ProjectId, RunId};

impl Store {
    pub async fn load_run(&self, id: &RunId) -> Result<Option<Run>, Error> {
        self.load(&key::run(id)).await
    }

    pub async fn load_plan(&self, id: &RunId) -> Result<Option<FrozenPlan>, Error> {
        let key = key::plan(id);
        self.load_attributes(&key).await?.map(|item| blob::unpack(&key, &item)).transpose()
    }

    pub async fn load_group(&self, project: &ProjectId, name: &str) -> Result<Option<Group>, Error> {
        self.load(&key::group(project, name)).await
    }

    /// Skips runs that do not exist.
    pub async fn load_runs(&self, ids: &[RunId]) -> Result<Vec<Run>, Error> {
        self.load_in_order(ids.iter().map(key::run).collect()).await
    }

    /// The runs of a project, newest first, and the cursor of the next page. An undecodable run is its error.
    /// Errors: `BadCursor` for a cursor that no page returned.
    pub async fn list_runs(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Result<Run, Error>>, Error> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let (keys, next) = self.list_keys(&key::run_list(project), Order::NewestFirst, after, limit).await?;
        let ids = keys.iter().filter_map(|pk| RunId::new(pk.strip_prefix(key::RUNS)?).ok());
        Ok((self.load_each_in_order(ids.map(|id| key::run(&id)).collect()).await?, next))
    }

    pub async fn load_template(&self, id: &TemplateId) -> Result<Option<Template>, Error> {
        self.load(&key::template(id)).await
    }

    /// By name.
    pub async fn list_templates(&self, project: &ProjectId) -> Result<Vec<Template>, Error> {
        self.list_with_prefix(&key::project(project).pk, key::TEMPLATES, "read the templates").await
    }

    pub async fn load_schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>, Error> {
        self.load(&key::schedule(id)).await
    }

    /// By name.
    pub async fn list_schedules(&self, project: &ProjectId) -> Result<Vec<Schedule>, Error> {
        self.list_with_prefix(&format!("{0}{project}", key::SCHEDULES), key::SCHEDULES, "read the schedules").await
    }
}
