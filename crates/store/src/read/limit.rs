//! Reads the places of projects, and the jobs that wait for one.

use super::WorkKey;
use crate::{Error, Store, key};
use pullyard_domain::job::limit::Places;
use pullyard_domain::text::id::{JobId, ProjectId};

impl Store {
    pub async fn load_places(&self, project: &ProjectId) -> Result<Option<Places>, Error> {
        self.load(&key::places(project)).await
    }

    /// The jobs of a repository that wait for a place, by `Job::order`, with it, at most `limit`. `repository`: its
    /// key in the domain.
    pub async fn list_limited_jobs(
        &self,
        project: &ProjectId,
        repository: &str,
        limit: i32,
    ) -> Result<Vec<(i64, JobId)>, Error> {
        let rows = self.query_work_rows(&key::limited_partition(project, repository), None, limit).await?.rows;
        let job = |(key, order)| if let WorkKey::Job(job) = key { Some((order, job)) } else { None };
        Ok(rows.into_iter().filter_map(job).collect())
    }
}
