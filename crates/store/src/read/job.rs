//! Jobs, their attempts, and the lists of them.

use crate::item::{self, Stored};
use crate::read::list::{Order, cursor_of};
use crate::transaction::text;
use crate::{Error, Store, key};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use pullyard_domain::id::{JobId, ProjectId};
use pullyard_domain::job::{Attempt, Job};
use pullyard_domain::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::time::Timestamp;
use std::collections::HashMap;
use std::time::Duration;

/// The most items that one read of many takes.
pub(crate) const TOGETHER: usize = 100;

/// How often what such a read left out is asked for again.
const TRIES: usize = 5;

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
        Ok((ids(&keys), next))
    }

    /// The same of the jobs that were made since a time, and before another.
    pub async fn job_ids_between(
        &self,
        project: &ProjectId,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<JobId>, Option<String>), Error> {
        let first = key::sortable(since.unwrap_or(Timestamp::from_millis(0)));
        let last = until.map_or_else(|| "9".repeat(first.len()), |until| key::sortable(before(until)));
        let between = (since.is_some() || until.is_some()).then_some((first.as_str(), last.as_str()));
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let list = key::job_list(project);
        let (keys, next) = self.list_between(&list, Order::NewestFirst, between, after, limit).await?;
        Ok((ids(&keys), next))
    }

    /// The cursor of a page that ends with this job.
    pub fn cursor_after(&self, job: &Job) -> String {
        let key = job.key();
        let order = job.listed().map(|(_, order)| order).unwrap_or_default();
        let row = [("ls", order), ("pk", key.pk), ("sk", key.sk)];
        cursor_of(&row.map(|(name, value)| (name.to_owned(), text(value))).into())
    }

    /// Many jobs, read strongly, in the order of their ids; one that is gone is left out.
    pub async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Job>, Error> {
        let mut found = HashMap::with_capacity(ids.len());
        for some in ids.chunks(TOGETHER) {
            for item in self.items(some.iter().map(key::job).collect()).await? {
                let key = key::Key {
                    pk: item.get("pk").and_then(|pk| pk.as_s().ok()).cloned().unwrap_or_default(),
                    sk: "JOB".into(),
                };
                let job: Job = item::decode(item, &key)?;
                found.insert(job.id.clone(), job);
            }
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// What stands under these keys, in any order.
    pub(crate) async fn items(&self, keys: Vec<key::Key>) -> Result<Vec<item::Attributes>, Error> {
        let whole = |key: key::Key| {
            HashMap::from([("pk".to_owned(), AttributeValue::S(key.pk)), ("sk".to_owned(), AttributeValue::S(key.sk))])
        };
        let mut wanted = keys.into_iter().map(whole).collect::<Vec<_>>();
        let mut items = Vec::with_capacity(wanted.len());
        for tried in 0..TRIES {
            if wanted.is_empty() {
                return Ok(items);
            }
            if tried > 0 {
                self.pause(Duration::from_millis(20 << tried)).await;
            }
            let asked = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(true)
                .build()
                .map_err(|error| Error::unavailable("read many", error))?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, asked)
                .send()
                .await
                .map_err(|error| Error::unavailable("read many", error))?;
            items.extend(answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default());
            // An answer ends at 16 MB, or where the table is busy.
            let left = answer.unprocessed_keys.unwrap_or_default().remove(&self.table);
            wanted = left.map(|left| left.keys).unwrap_or_default();
        }
        if wanted.is_empty() {
            return Ok(items);
        }
        Err(Error::Unavailable { operation: "read many", reason: "some were left out".into(), transient: true })
    }
}

fn ids(keys: &[String]) -> Vec<JobId> {
    keys.iter().filter_map(|pk| JobId::new(pk.strip_prefix("JOB#")?).ok()).collect()
}

/// The last moment before.
fn before(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis() - 1)
}
