//! Reads jobs, their attempts, lists of jobs, and pull request links.

use crate::item;
use crate::read::list::{Order, cursor_of};
use crate::{Error, Store, key};
use pullyard_domain::id::{JobId, ProjectId};
use pullyard_domain::job::Job;
use pullyard_domain::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::time::Timestamp;
use std::collections::BTreeSet;

impl Store {
    pub async fn load_job(&self, job: &JobId) -> Result<Option<Job>, Error> {
        self.load(&key::job(job)).await
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
        Ok(self.load_many(&keys).await?.into_iter().map(item::decode_item).collect())
    }

    /// The ids of a project's jobs that were created before `until`, newest first, and the cursor of the next page.
    pub async fn list_job_ids(
        &self,
        project: &ProjectId,
        until: Option<Timestamp>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<JobId>, Option<String>), Error> {
        let times = until.map(|until| [Timestamp::from_millis(0), millisecond_before(until)].map(key::to_sort_key));
        let between = times.as_ref().map(|[first, last]| (first.as_str(), last.as_str()));
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let list = key::job_list(project);
        let (keys, next) = self.list_keys_between(&list, Order::NewestFirst, between, after, limit).await?;
        let ids = keys.iter().filter_map(|pk| JobId::new(pk.strip_prefix("JOB#")?).ok()).collect();
        Ok((ids, next))
    }

    pub fn cursor_after(&self, job: &Job) -> String {
        cursor_of(job)
    }

    /// Many jobs in the order of their ids, read strongly. Missing jobs are omitted.
    pub async fn load_jobs(&self, ids: &[JobId]) -> Result<Vec<Job>, Error> {
        self.load_in_order(ids.iter().map(key::job).collect()).await
    }
}

fn millisecond_before(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis() - 1)
}
