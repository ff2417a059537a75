//! The sweeper's own sign of life.

use crate::item::sweeps::Sweeps;
use crate::transaction::{Condition, Transaction, number};
use crate::{Error, Store, Write};
use pullyard_domain::gauges::AHEAD;

impl Store {
    /// Stores that a round was made.
    ///
    /// Writes: SWEEPER unless it says a later round: of two sweepers at once the later one counts. A time that is no
    /// number, or lies further ahead than a clock may be, says none.
    pub async fn put_sweeps(&self, sweeps: &Sweeps) -> Result<Write, Error> {
        // What is absent, or of another type, is not greater.
        let no_later_one = Condition::of("NOT (#at > :at AND #at <= :ahead)")
            .name("#at", "at")
            .value(":at", number(sweeps.at.millis()))
            .value(":ahead", number(sweeps.at.plus(AHEAD).millis()));
        Transaction::new("note a sweep").put(sweeps, no_later_one)?.commit(self).await
    }
}
