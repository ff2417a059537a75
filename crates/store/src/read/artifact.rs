//! What attempts of a job keep in the bucket, and how they went.

use crate::key;
use crate::transaction::text;
use crate::{Error, Store, item};
use pullyard_domain::artifact::Artifacts;
use pullyard_domain::id::JobId;
use pullyard_domain::job::Attempt;
use serde::de::DeserializeOwned;

impl Store {
    /// What one attempt keeps, read strongly.
    pub async fn artifacts(&self, job: &JobId, attempt: u32) -> Result<Option<Artifacts>, Error> {
        self.get(&key::artifacts(job, attempt)).await
    }

    /// What all attempts of a job keep, the first attempt's first.
    pub async fn all_artifacts(&self, job: &JobId) -> Result<Vec<Artifacts>, Error> {
        self.below_job(job, key::ARTIFACTS).await
    }

    /// The attempts of a job that ended, the first one first.
    pub async fn attempts(&self, job: &JobId) -> Result<Vec<Attempt>, Error> {
        self.below_job(job, key::ATTEMPTS).await
    }

    async fn below_job<T: DeserializeOwned>(&self, job: &JobId, begins: &str) -> Result<Vec<T>, Error> {
        let key = key::job(job);
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND begins_with(sk, :begins)")
                .expression_attribute_values(":pk", text(&key.pk))
                .expression_attribute_values(":begins", text(begins))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| Error::unavailable("read what belongs to a job", error))?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        items.into_iter().map(|found| item::decode(found, &key)).collect()
    }
}
