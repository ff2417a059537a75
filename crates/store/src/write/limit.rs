//! Writes the places of a project with the jobs that get them.

use crate::transaction::Transaction;
use crate::{Error, Store, Write};
use pullyard_domain::job::Job;
use pullyard_domain::job::limit::Places;

impl Store {
    /// Writes: LIMIT and each JOB if `rev` is the one seen (LIMIT: absent if new).
    /// All or nothing: no job starts without its place.
    /// Idempotent: through the domain; a repeat is `Stale`, and reading again shows the places.
    pub async fn put_places(&self, places: &Places, placed: &[Job]) -> Result<Write, Error> {
        let transaction = Transaction::new("assign places").revise(places)?;
        placed.iter().try_fold(transaction, Transaction::revise)?.commit(self).await
    }
}
