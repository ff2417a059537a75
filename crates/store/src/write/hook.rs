//! Writes webhooks, their notes, polled repositories and rotated secrets.

use crate::item::hook::{Rotation, hook_stats_key};
use crate::transaction::{Condition, Transaction, number_value};
use crate::{Error, Store, Write, key};
use pullyard_domain::hook::{Poll, RECORD_INTERVAL, Webhook};
use pullyard_domain::time::Timestamp;

/// The note is about this hook, or names none.
const SAME_HOOK: &str = "attribute_not_exists(hook_created) OR hook_created = :created";

/// The note is about an older hook of the same name.
const OLDER_HOOK: &str = "hook_created < :created";

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
            .delete(hook_stats_key(&hook.name), Condition::new("attribute_not_exists(pk) OR attribute_exists(pk)"))
            .commit(self)
            .await
    }

    /// Writes: `verified_at` of the note, at most once a minute. Replaces the note of an older hook of its name.
    /// Idempotent: one note per minute is written; others are `Stale`, also after another hook replaced this one.
    pub async fn update_hook_verified_at(&self, hook: &Webhook, at: Timestamp) -> Result<Write, Error> {
        let a_minute_ago = format!("({SAME_HOOK}) AND (attribute_not_exists(verified_at) OR verified_at <= :before)");
        let a_minute_ago =
            Condition::new(&a_minute_ago).value(":before", number_value(at.minus(RECORD_INTERVAL).millis()));
        let noted = (a_minute_ago, "");
        let anew = (Condition::new(OLDER_HOOK), "refused, refused_at");
        // If several find an older hook's note, one replaces it and the others retry.
        for (condition, gone) in [noted.clone(), anew, noted] {
            let condition = condition
                .value(":at", number_value(at.millis()))
                .value(":created", number_value(hook.created.millis()));
            let note = Transaction::new("note that a webhook's delivery was verified");
            let sets = "verified_at = :at, hook_created = :created";
            if note.update(hook_stats_key(&hook.name), sets, gone, condition).commit(self).await? == Write::Applied {
                return Ok(Write::Applied);
            }
        }
        Ok(Write::Stale)
    }

    /// Counts refused deliveries of a webhook for display. A retry after a lost answer may count twice.
    /// Writes: `refused_at` and a higher `refused` of the note. Replaces the note of an older hook of its name. `Stale`
    /// if the note is about a newer hook of its name.
    pub async fn update_hook_refusal(&self, hook: &Webhook, more: u64, at: Timestamp) -> Result<Write, Error> {
        let counted =
            (Condition::new(SAME_HOOK).value(":none", number_value(0)), "if_not_exists(refused, :none) + :more", "");
        let anew = (Condition::new(OLDER_HOOK), ":more", "verified_at");
        for (condition, count, gone) in [counted.clone(), anew, counted] {
            let condition = condition
                .value(":at", number_value(at.millis()))
                .value(":created", number_value(hook.created.millis()))
                .value(":more", number_value(more));
            let sets = format!("refused_at = :at, hook_created = :created, refused = {count}");
            let note = Transaction::new("note that a webhook's deliveries were refused");
            if note.update(hook_stats_key(&hook.name), &sets, gone, condition).commit(self).await? == Write::Applied {
                return Ok(Write::Applied);
            }
        }
        Ok(Write::Stale)
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
