//! Webhooks, what was heard of them, repositories that are looked at, secrets that rotate.

use crate::item::hook::{Rotation, heard};
use crate::transaction::{Condition, Transaction, number};
use crate::{Error, Store, Write, key};
use pullyard_domain::hook::{Hook, NOTED_EVERY, Poll};
use pullyard_domain::id::HookName;
use pullyard_domain::time::Timestamp;

impl Store {
    /// Stores a webhook over the revision that was read.
    ///
    /// Writes: HOOK if `rev` is the one seen (absent if new).
    pub async fn put_hook(&self, hook: &Hook) -> Result<Write, Error> {
        Transaction::new("store a webhook").revise(hook)?.commit(self).await
    }

    /// Forgets a webhook.
    ///
    /// Writes: HOOK deleted if `rev` is the one seen or it is gone, and what was heard of it.
    /// Idempotent: one that is gone is gone.
    pub async fn delete_hook(&self, hook: &Hook) -> Result<Write, Error> {
        let seen = Condition::of("attribute_not_exists(pk) OR rev = :seen").value(":seen", number(hook.rev));
        Transaction::new("forget a webhook")
            .delete(key::hook(&hook.name), seen)
            .delete(heard(&hook.name), Condition::of("attribute_not_exists(pk) OR attribute_exists(pk)"))
            .commit(self)
            .await
    }

    /// Notes that a delivery of a webhook was verified.
    ///
    /// Writes: what was heard of it, unless that was noted within the last minute: `verified_at`.
    /// Idempotent: of many notes in one minute one is written, the others are `Stale`.
    pub async fn note_hook_verified(&self, name: &HookName, at: Timestamp) -> Result<Write, Error> {
        let condition = Condition::of("attribute_not_exists(verified_at) OR verified_at <= :before")
            .value(":at", number(at.millis()))
            .value(":before", number(at.minus(NOTED_EVERY).millis()));
        let note = Transaction::new("note that a webhook's delivery was verified");
        note.update(heard(name), "verified_at = :at", "", condition).commit(self).await
    }

    /// Notes that deliveries of a webhook were not let in. A count for people: one whose answer was lost may be
    /// counted again.
    ///
    /// Writes: what was heard of it: `refused_at`, and `refused` raised. The condition always holds: nothing
    /// is decided from it.
    pub async fn note_hook_refused(&self, name: &HookName, more: u64, at: Timestamp) -> Result<Write, Error> {
        let condition = Condition::of("attribute_not_exists(refused) OR refused >= :none")
            .value(":at", number(at.millis()))
            .value(":none", number(0))
            .value(":more", number(more));
        let sets = "refused_at = :at, refused = if_not_exists(refused, :none) + :more";
        let note = Transaction::new("note that a webhook's deliveries were refused");
        note.update(heard(name), sets, "", condition).commit(self).await
    }

    /// Stores how a repository is looked at, over the revision that was read.
    ///
    /// Writes: POLL if `rev` is the one seen (absent if new).
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
