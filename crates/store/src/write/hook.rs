//! Writes webhooks, their notes, polled repositories and rotated secrets.

use crate::item::hook::{Rotation, hook_stats_key};
use crate::transaction::{Condition, Transaction, number_value};
use crate::{Error, Store, Write, key};
use pullyard_domain::project::hook::{Poll, RECORD_INTERVAL, Webhook};
use pullyard_domain::text::time::Timestamp;

const ANY: &str = "attribute_not_exists(pk) OR attribute_exists(pk)";

impl Store {
    /// Writes: HOOK if `rev` and `created` are those seen (absent if new). Another hook of its name stays.
    pub async fn put_hook(&self, hook: &Webhook) -> Result<Write, Error> {
        let condition = Condition::at_rev_since(hook.rev, "created", hook.created);
        Transaction::new("store a webhook").revise_over(hook, condition)?.commit(self).await
    }

    /// Writes: HOOK deleted if `rev` and `created` are those seen or it is gone, and its note.
    /// Idempotent: a missing hook is no error.
    pub async fn delete_hook(&self, hook: &Webhook) -> Result<Write, Error> {
        let condition = Condition::at_rev_or_absent(hook.rev, "created", hook.created);
        Transaction::new("forget a webhook")
            .delete(key::hook(&hook.name), condition)
            .delete(hook_stats_key(&hook.name), Condition::new(ANY))
            .commit(self)
            .await
    }

    /// Writes: `verified_at` of the note, at most once a minute.
    /// Idempotent: one note per minute is written; others are `Stale`.
    pub async fn update_hook_verified_at(&self, hook: &Webhook, at: Timestamp) -> Result<Write, Error> {
        let condition = Condition::new("attribute_not_exists(verified_at) OR verified_at <= :before")
            .value(":before", number_value(at.minus(RECORD_INTERVAL).millis()))
            .value(":at", number_value(at.millis()));
        Transaction::new("note that a webhook's delivery was verified")
            .update(hook_stats_key(&hook.name), "verified_at = :at", "", condition)
            .commit(self)
            .await
    }

    /// Counts refused deliveries of a webhook for display. A retry after a lost answer may count twice, and a delivery
    /// that races the removal of its hook may count for the next hook of the name.
    /// Writes: `refused_at` and a higher `refused` of the note.
    pub async fn update_hook_refusal(&self, hook: &Webhook, new_refusals: u64, at: Timestamp) -> Result<Write, Error> {
        let condition = Condition::new(ANY)
            .value(":none", number_value(0))
            .value(":at", number_value(at.millis()))
            .value(":more", number_value(new_refusals));
        let sets = "refused_at = :at, refused = if_not_exists(refused, :none) + :more";
        Transaction::new("note that a webhook's deliveries were refused")
            .update(hook_stats_key(&hook.name), sets, "", condition)
            .commit(self)
            .await
    }

    /// Writes: `repaired_at` of the note. Idempotent: a repeat writes its own time.
    pub async fn update_hook_repaired_at(&self, hook: &Webhook, at: Timestamp) -> Result<Write, Error> {
        let condition = Condition::new(ANY).value(":at", number_value(at.millis()));
        Transaction::new("note that a webhook was repaired")
            .update(hook_stats_key(&hook.name), "repaired_at = :at", "", condition)
            .commit(self)
            .await
    }

    /// Stores how a repository is polled.
    /// Writes: POLL if `rev` is the one seen (absent if new). If the repository was removed and connected again, a late
    /// writer may replace the new item. Its progress or ingress is then wrong until the next poll or setting.
    pub async fn put_poll(&self, poll: &Poll) -> Result<Write, Error> {
        Transaction::new("store the polling of a repository").revise(poll)?.commit(self).await
    }

    /// Stores how long a secret's previous value stays valid.
    /// Writes: ROTATION if `rev` is the one seen (absent if new).
    pub async fn put_rotation(&self, rotation: &Rotation) -> Result<Write, Error> {
        Transaction::new("rotate a secret").revise(rotation)?.commit(self).await
    }
}
