//! The sweeper's own sign of life.

use crate::item::sweeps::Sweeps;
use crate::transaction::{Condition, Transaction, number};
use crate::{Error, Store, Write};

impl Store {
    /// Stores that a round was made.
    ///
    /// Writes: SWEEPER if absent or not newer: of two sweepers at once the later one counts.
    pub async fn put_sweeps(&self, sweeps: &Sweeps) -> Result<Write, Error> {
        let older = Condition::of("attribute_not_exists(pk) OR #at <= :at")
            .name("#at", "at")
            .value(":at", number(sweeps.at.millis()));
        Transaction::new("note a sweep").put(sweeps, older)?.commit(self).await
    }
}
