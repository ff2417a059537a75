//! Reads the artifacts of a job's attempts, and the ended attempts.

use crate::{Error, Store, key};
use pullyard_domain::artifact::Artifacts;
use pullyard_domain::id::JobId;
use pullyard_domain::job::AttemptRecord;
use serde::de::DeserializeOwned;

impl Store {
    pub async fn load_artifacts(&self, job: &JobId, attempt: u32) -> Result<Option<Artifacts>, Error> {
        self.load(&key::artifacts(job, attempt)).await
    }

    pub async fn list_artifacts(&self, job: &JobId) -> Result<Vec<Artifacts>, Error> {
        self.list_below_job(job, key::ARTIFACTS).await
    }

    pub async fn list_attempts(&self, job: &JobId) -> Result<Vec<AttemptRecord>, Error> {
        self.list_below_job(job, key::ATTEMPTS).await
    }

    async fn list_below_job<T: DeserializeOwned>(&self, job: &JobId, begins: &str) -> Result<Vec<T>, Error> {
        self.list_with_prefix(&key::job(job).pk, begins, "read the items of a job").await
    }
}
