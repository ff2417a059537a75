//! Stores the sweeper's last round.

use crate::item::sweeper_state::{MAX_CLOCK_SKEW, SweeperState};
use crate::transaction::{Condition, Transaction, number_value};
use crate::{Error, Store, Write};

impl Store {
    /// Writes: SWEEPER unless a later round is stored: the later one of two sweepers counts. A stored time is ignored
    /// if it is no number, or further ahead than a clock may be.
    pub async fn put_sweeper_state(&self, sweeps: &SweeperState) -> Result<Write, Error> {
        // A comparison with an absent attribute or another type is false.
        let no_later_one = Condition::new("NOT (#at > :at AND #at <= :ahead)")
            .name("#at", "at")
            .value(":at", number_value(sweeps.at.millis()))
            .value(":ahead", number_value(sweeps.at.plus(MAX_CLOCK_SKEW).millis()));
        Transaction::new("note a sweep").put(sweeps, no_later_one)?.commit(self).await
    }
}
