//! Stores the sweeper's last round, and the runners that it read.

use crate::item::blob;
use crate::item::sweeper_state::{MAX_CLOCK_SKEW, SweeperState};
use crate::schema::EXPIRES;
use crate::transaction::{Condition, Transaction, number_value};
use crate::{Error, Store, Write, key};
use pullyard_domain::job::fleet::FleetSnapshot;
use pullyard_domain::text::time::Timestamp;
use std::time::Duration;

/// DynamoDB allows 400 KB. Units: bytes.
const MAX_FLEET: usize = 300_000;
/// A fleet that became small is not stored again.
const RETENTION: Duration = Duration::from_secs(24 * 3_600);

impl Store {
    /// Writes: SWEEPER unless a later round is stored: the later one of two sweepers counts. A stored time is ignored
    /// if it is no number, or further ahead than a clock may be.
    pub async fn put_sweeper_state(&self, sweeps: &SweeperState) -> Result<Write, Error> {
        Transaction::new("note a sweep").put(sweeps, no_later_one(sweeps.at))?.commit(self).await
    }

    /// Writes: FLEET under the same condition.
    /// Idempotent: the round replaces the item of an earlier round or of itself. Errors: also if it is too large.
    pub async fn put_fleet(&self, fleet: &FleetSnapshot) -> Result<Write, Error> {
        let key = key::fleet();
        let mut item = blob::pack(&key, fleet)?;
        if item.values().any(|value| value.as_b().is_ok_and(|body| body.as_ref().len() > MAX_FLEET)) {
            return Err(Error::corrupt(&key, "it is too large for an item"));
        }
        item.insert("at".into(), number_value(fleet.at.millis()));
        item.insert(EXPIRES.into(), number_value(fleet.at.plus(RETENTION).millis() / 1_000));
        Transaction::new("store the fleet").put_item(item, no_later_one(fleet.at)).commit(self).await
    }
}

fn no_later_one(at: Timestamp) -> Condition {
    // A comparison with an absent attribute or another type is false.
    Condition::new("NOT (#at > :at AND #at <= :ahead)")
        .name("#at", "at")
        .value(":at", number_value(at.millis()))
        .value(":ahead", number_value(at.plus(MAX_CLOCK_SKEW).millis()))
}
