//! Writes schedules.

use crate::item::Item;
use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write};
use pullyard_domain::notice::Notice;
use pullyard_domain::schedule::Schedule;

impl Store {
    /// Writes: SCHEDULE if `rev` and `created` are those seen (absent if new); NOTICE if absent.
    pub async fn put_schedule(&self, schedule: &Schedule, notice: Option<&Notice>) -> Result<Write, Error> {
        let condition = Condition::at_rev_since(schedule.rev, "created", schedule.created);
        let transaction = Transaction::new("store a schedule").revise_over(schedule, condition)?;
        transaction.revise_some(notice)?.commit(self).await
    }

    /// Writes: SCHEDULE deleted if `rev` and `created` are those seen or it is gone.
    /// Idempotent: a missing schedule is no error.
    pub async fn delete_schedule(&self, schedule: &Schedule) -> Result<Write, Error> {
        let condition = Condition::at_rev_or_absent(schedule.rev, "created", schedule.created);
        Transaction::new("delete a schedule").delete(schedule.key(), condition).commit(self).await
    }
}
