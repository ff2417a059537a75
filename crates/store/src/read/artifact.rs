//! What attempts of a job keep in the bucket, and how they went.

use crate::{Error, Store, key};
use pullyard_domain::artifact::Artifacts;
use pullyard_domain::id::JobId;
use pullyard_domain::job::Attempt;
use serde::de::DeserializeOwned;

impl Store {
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
        self.below(&key::job(job).pk, begins, "read what belongs to a job").await
    }
}
