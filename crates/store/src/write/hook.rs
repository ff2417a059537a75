//! Webhooks, what was heard of them, repositories that are looked at, secrets that rotate.

use crate::item::hook::{Rotation, heard};
use crate::transaction::{Condition, Transaction, number};
use crate::{Error, Store, Write, key};
use pullyard_domain::hook::{Hook, NOTED_EVERY, Poll};
use pullyard_domain::time::Timestamp;

/// What was heard is of this hook, or does not say of which: nothing was, or before it was said.
const OF_IT: &str = "attribute_not_exists(hook_created) OR hook_created = :created";

/// What was heard is of an older hook of the same name, whose delivery was noted when it was forgotten already.
const OF_AN_OLDER_ONE: &str = "hook_created < :created";

impl Store {
    /// Stores a webhook over the revision that was read.
    ///
    /// Writes: HOOK if `rev` and `created` are those seen (absent if new): another one of its name is left alone.
    pub async fn put_hook(&self, hook: &Hook) -> Result<Write, Error> {
        let seen = Condition::seen_of(hook.rev, "created", hook.created);
        Transaction::new("store a webhook").revise_over(hook, seen)?.commit(self).await
    }

    /// Forgets a webhook.
    ///
    /// Writes: HOOK deleted if `rev` and `created` are those seen or it is gone, and what was heard of it.
    /// Idempotent: one that is gone is gone.
    pub async fn delete_hook(&self, hook: &Hook) -> Result<Write, Error> {
        let seen = Condition::seen_of_or_gone(hook.rev, "created", hook.created);
        Transaction::new("forget a webhook")
            .delete(key::hook(&hook.name), seen)
            .delete(heard(&hook.name), Condition::of("attribute_not_exists(pk) OR attribute_exists(pk)"))
            .commit(self)
            .await
    }

    /// Notes that a delivery of a webhook was verified.
    ///
    /// Writes: what was heard of it, unless that was noted within the last minute: `verified_at`. What was heard of an
    /// older hook of its name goes.
    /// Idempotent: of many notes in one minute one is written, the others are `Stale`, as are those of a hook that
    /// another one of its name was heard after.
    pub async fn note_hook_verified(&self, hook: &Hook, at: Timestamp) -> Result<Write, Error> {
        let a_minute_ago = format!("({OF_IT}) AND (attribute_not_exists(verified_at) OR verified_at <= :before)");
        let a_minute_ago = Condition::of(&a_minute_ago).value(":before", number(at.minus(NOTED_EVERY).millis()));
        let noted = (a_minute_ago, "");
        let anew = (Condition::of(OF_AN_OLDER_ONE), "refused, refused_at");
        // Of several that find an older one's at once, one begins anew: the others go on from there.
        for (condition, gone) in [noted.clone(), anew, noted] {
            let condition =
                condition.value(":at", number(at.millis())).value(":created", number(hook.created.millis()));
            let note = Transaction::new("note that a webhook's delivery was verified");
            let sets = "verified_at = :at, hook_created = :created";
            if note.update(heard(&hook.name), sets, gone, condition).commit(self).await? == Write::Applied {
                return Ok(Write::Applied);
            }
        }
        Ok(Write::Stale)
    }

    /// Notes that deliveries of a webhook were not let in. A count for people: one whose answer was lost may be
    /// counted again.
    ///
    /// Writes: what was heard of it: `refused_at`, and `refused` raised. What was heard of an older hook of its name
    /// goes.
    /// `Stale`: another one of its name was heard after it.
    pub async fn note_hook_refused(&self, hook: &Hook, more: u64, at: Timestamp) -> Result<Write, Error> {
        let counted = (Condition::of(OF_IT).value(":none", number(0)), "if_not_exists(refused, :none) + :more", "");
        let anew = (Condition::of(OF_AN_OLDER_ONE), ":more", "verified_at");
        // Of several that find an older one's at once, one begins anew: the others go on from there.
        for (condition, count, gone) in [counted.clone(), anew, counted] {
            let condition = condition
                .value(":at", number(at.millis()))
                .value(":created", number(hook.created.millis()))
                .value(":more", number(more));
            let sets = format!("refused_at = :at, hook_created = :created, refused = {count}");
            let note = Transaction::new("note that a webhook's deliveries were refused");
            if note.update(heard(&hook.name), &sets, gone, condition).commit(self).await? == Write::Applied {
                return Ok(Write::Applied);
            }
        }
        Ok(Write::Stale)
    }

    /// Stores how a repository is looked at, over the revision that was read.
    ///
    /// Writes: POLL if `rev` is the one seen (absent if new). It says of no time when it was made: one that was removed
    /// and made anew with its repository may be replaced by who read the first revision before. What is then wrong is
    /// how far it was looked at or that it is looked at, of the same repository, and the next look or setting mends it.
    pub async fn put_poll(&self, poll: &Poll) -> Result<Write, Error> {
        Transaction::new("store how a repository is looked at").revise(poll)?.commit(self).await
    }

    /// Stores how long the last value of a secret counts, over the revision that was read.
    ///
    /// Writes: ROTATION if `rev` is the one seen (absent if new).
    pub async fn put_rotation(&self, rotation: &Rotation) -> Result<Write, Error> {
        Transaction::new("rotate a secret").revise(rotation)?.commit(self).await
    }
}
