//! Jobs, their attempts, and the lists of them.

use crate::schema::LIST;
use crate::transaction::text;
use crate::{Error, Store, key};
use aws_sdk_dynamodb::types::AttributeValue;
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
        let (keys, next) = self.list(&key::job_list(project), after, limit).await?;
        let ids = keys.iter().filter_map(|pk| JobId::new(pk.strip_prefix("JOB#")?).ok()).collect();
        Ok((ids, next))
    }

    /// One page of a list, newest first: partition keys, and a cursor for the next page.
    ///
    /// The cursor is the index key of the last row, `order|partition|sort`: it holds still while new
    /// rows arrive.
    pub(crate) async fn list(
        &self,
        list: &str,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<String>, Option<String>), Error> {
        let start = after.and_then(|cursor| {
            let mut parts = cursor.splitn(3, '|');
            let (order, pk, sk) = (parts.next()?, parts.next()?, parts.next()?);
            Some(
                [("lk", list), ("ls", order), ("pk", pk), ("sk", sk)]
                    .map(|(name, value)| (name.to_owned(), text(value)))
                    .into(),
            )
        });
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(LIST)
            .key_condition_expression("lk = :list")
            .expression_attribute_values(":list", text(list))
            .scan_index_forward(false)
            .set_exclusive_start_key(start)
            .limit(limit)
            .send()
            .await
            .map_err(|error| Error::unavailable("list", error))?;
        let word = |item: &std::collections::HashMap<String, AttributeValue>, name: &str| {
            item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
        };
        let next = page
            .last_evaluated_key()
            .map(|last| format!("{}|{}|{}", word(last, "ls"), word(last, "pk"), word(last, "sk")));
        Ok((page.items().iter().map(|item| word(item, "pk")).collect(), next))
    }
}
