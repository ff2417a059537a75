//! Jobs, their attempts, and the lists of them.

use crate::read::list::Order;
use crate::{Error, Store, key};
use pullyard_domain::id::{JobId, ProjectId};
use pullyard_domain::job::{Attempt, Job};
use pullyard_domain::pull_request::{PullRequest, PullRequestId};

impl Store {
    /// A job, read strongly.
    pub async fn job(&self, job: &JobId) -> Result<Option<Job>, Error> {
        self.get(&key::job(job)).await
    }

    /// An attempt that ended, read strongly.
    pub async fn attempt(&self, job: &JobId, number: u32) -> Result<Option<Attempt>, Error> {
        self.get(&key::attempt(job, number)).await
    }

    /// A pull request's link, read strongly.
    pub async fn pull_request(&self, id: &PullRequestId) -> Result<Option<PullRequest>, Error> {
        self.get(&key::pull_request(id)).await
    }

    /// The ids of a project's jobs, newest first, and where the next page begins.
    pub async fn job_ids(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<JobId>, Option<String>), Error> {
        let (keys, next) = self.list(&key::job_list(project), Order::NewestFirst, after, limit).await?;
        let ids = keys.iter().filter_map(|pk| JobId::new(pk.strip_prefix("JOB#")?).ok()).collect();
        Ok((ids, next))
    }
}
