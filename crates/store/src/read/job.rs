//! Reads jobs with their attempts, artifacts and inputs, lists of jobs, and pull request links.

use crate::item::{Item, blob};
use crate::read::list::{Page, cursor_of};
use crate::read::partition::SortKeys;
use crate::{Error, Store, key};
use pullyard_domain::job::artifact::Artifacts;
use pullyard_domain::job::{AttemptRecord, Input, Job};
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::review::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::text::id::{JobId, ProjectId};
use pullyard_domain::text::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

impl Store {
    pub async fn load_job(&self, job: &JobId) -> Result<Option<Job>, Error> {
        self.load(&key::job(job)).await
    }

    /// The output of a job that has ended. `None` if it has none, or none any more.
    pub async fn load_output(&self, job: &JobId) -> Result<Option<JobOutput>, Error> {
        let key = key::output(job);
        self.load_attributes(&key).await?.map(|item| blob::unpack(&key, &item)).transpose()
    }

    pub async fn load_pull_request(&self, id: &PullRequestId) -> Result<Option<PullRequest>, Error> {
        self.load(&key::pull_request(id)).await
    }

    /// In any order, read strongly. Unknown ones are omitted. An undecodable link is its error and hides no other.
    pub async fn load_pull_requests(
        &self,
        ids: &BTreeSet<PullRequestId>,
    ) -> Result<Vec<Result<PullRequest, Error>>, Error> {
        let keys: Vec<_> = ids.iter().map(key::pull_request).collect();
        Ok(self.load_many(&keys).await?.iter().map(|item| self.decode(item)).collect())
    }

    /// The ids of a project's jobs that were created before `until`, newest first, and the cursor of the next page.
    pub async fn list_job_ids(
        &self,
        project: &ProjectId,
        until: Option<Timestamp>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<JobId>, Error> {
        let last = until.map(|until| until.minus(Duration::from_millis(1)));
        let (keys, next) = self.list_keys_until(&key::job_list(project), last, after, limit).await?;
        let ids = keys.iter().filter_map(|pk| JobId::new(pk.strip_prefix("JOB#")?).ok()).collect();
        Ok((ids, next))
    }

    pub fn cursor_after(&self, job: &Job) -> String {
        cursor_of(job)
    }

    pub async fn load_artifacts(&self, job: &JobId, attempt: u32) -> Result<Option<Artifacts>, Error> {
        self.load(&key::artifacts(job, attempt)).await
    }

    pub async fn list_artifacts(&self, job: &JobId) -> Result<Vec<Artifacts>, Error> {
        self.list_below_job(job, key::ARTIFACTS).await
    }

    pub async fn list_attempts(&self, job: &JobId) -> Result<Vec<AttemptRecord>, Error> {
        self.list_below_job(job, key::ATTEMPTS).await
    }

    async fn list_below_job<T: Item>(&self, job: &JobId, prefix: &str) -> Result<Vec<T>, Error> {
        self.list_with_prefix(&key::job(job).pk, prefix, "read the items of a job").await
    }

    /// The inputs after a number, in order.
    pub async fn list_inputs(&self, job: &JobId, after: u32) -> Result<Vec<Input>, Error> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let [first, last] = [first, u32::MAX].map(|seq| key::input(job, seq));
        let items = self.query_items(&first.pk, SortKeys::Ascending(&first, &last), None, "read inputs").await?;
        items.iter().map(|item| self.decode(item)).collect()
    }

    /// Many jobs, read strongly, in any order. Missing ones are omitted. An undecodable one is its error.
    pub async fn load_each_job(&self, ids: &[JobId]) -> Result<Vec<Result<Job, Error>>, Error> {
        let keys: Vec<_> = ids.iter().map(key::job).collect();
        Ok(self.load_many(&keys).await?.iter().map(|item| self.decode(item)).collect())
    }

    /// Many jobs in the order of their ids, read strongly. Missing jobs are omitted.
    pub async fn load_jobs(&self, ids: &[JobId]) -> Result<Vec<Job>, Error> {
        self.load_in_order(ids.iter().map(key::job).collect()).await
    }
}
