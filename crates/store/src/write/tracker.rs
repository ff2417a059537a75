//! Writes connections to ticket tools.

use crate::item::Item;
use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write};
use pullyard_domain::project::tracker::Tracker;

impl Store {
    /// Writes: TRACKERS if `rev` and `created` are those seen (absent if new).
    pub async fn put_tracker(&self, tracker: &Tracker) -> Result<Write, Error> {
        let condition = Condition::at_rev_since(tracker.rev, "created", tracker.created);
        Transaction::new("store a ticket tool").revise_over(tracker, condition)?.commit(self).await
    }

    /// Writes: TRACKERS deleted if `rev` and `created` are those seen or it is gone.
    /// Idempotent: a missing connection is no error.
    pub async fn delete_tracker(&self, tracker: &Tracker) -> Result<Write, Error> {
        let condition = Condition::at_rev_or_absent(tracker.rev, "created", tracker.created);
        Transaction::new("delete a ticket tool").delete(tracker.key(), condition).commit(self).await
    }
}
