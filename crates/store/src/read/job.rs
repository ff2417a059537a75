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

    /// The ids of a project's jobs, newest first, and the cursor of the next page.
    pub async fn list_job_ids(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<JobId>, Option<String>), Error> {
        let (keys, next) = self.list_keys(&key::job_list(project), Order::NewestFirst, after, limit).await?;
        Ok((parse_job_ids(&keys), next))
    }

    /// Like `list_job_ids`, for jobs that were created at or after `since` and before `until`.
    pub async fn list_job_ids_between(
        &self,
        project: &ProjectId,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<JobId>, Option<String>), Error> {
        let first = key::to_sort_key(since.unwrap_or(Timestamp::from_millis(0)));
        let last = until.map_or_else(|| "9".repeat(first.len()), |until| key::to_sort_key(millisecond_before(until)));
        let between = (since.is_some() || until.is_some()).then_some((first.as_str(), last.as_str()));
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let list = key::job_list(project);
        let (keys, next) = self.list_keys_between(&list, Order::NewestFirst, between, after, limit).await?;
        Ok((parse_job_ids(&keys), next))
    }

    pub fn cursor_after(&self, job: &Job) -> String {
        cursor_of(job)
    }

    /// Many jobs in the order of their ids, read strongly. Missing jobs are omitted.
    pub async fn load_jobs(&self, ids: &[JobId]) -> Result<Vec<Job>, Error> {
        self.load_in_order(ids.iter().map(key::job).collect()).await
    }
}

fn parse_job_ids(keys: &[String]) -> Vec<JobId> {
    keys.iter().filter_map(|pk| JobId::new(pk.strip_prefix("JOB#")?).ok()).collect()
}

fn millisecond_before(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis() - 1)
}
