//! Writes the artifacts of attempts.

use crate::transaction::Transaction;
use crate::{Error, Store, Write};
use pullyard_domain::artifact::Artifacts;

impl Store {
    /// Writes: ARTIFACTS if `rev` is the one seen (absent if new).
    /// Idempotent: through the domain; a repeat reads again and finds its entry.
    pub async fn put_artifacts(&self, artifacts: &Artifacts) -> Result<Write, Error> {
        Transaction::new("store an artifact").revise(artifacts)?.commit(self).await
    }
}
