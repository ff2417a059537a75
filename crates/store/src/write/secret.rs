//! Writes the names of users' secrets.

use crate::item::Item;
use crate::item::secret::SecretRecord;
use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write};

impl Store {
    /// Writes: SECRETS if `rev` is the one seen (absent if new).
    pub async fn put_secret_record(&self, record: &SecretRecord) -> Result<Write, Error> {
        Transaction::new("store the name of a secret").revise(record)?.commit(self).await
    }

    /// Writes: SECRETS deleted if `rev` and `set_at` are those seen or it is gone. `Stale` if the secret was set again.
    /// Idempotent: a missing name is no error.
    pub async fn delete_secret_record(&self, record: &SecretRecord) -> Result<Write, Error> {
        let unchanged = Condition::at_rev_or_absent(record.rev, "set_at", record.set_at);
        Transaction::new("delete the name of a secret").delete(record.key(), unchanged).commit(self).await
    }
}
