//! What becomes of a registered runner: it is heard, falls silent, is drained, goes.

use crate::key;
use crate::transaction::{Condition, Transaction, number, text};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::id::JobId;
use pullyard_domain::runner::{Drain, Presence, Runner, Slot};
use serde::Serialize;

fn value(runner: &Runner, of: &impl Serialize) -> Result<AttributeValue, Error> {
    serde_dynamo::to_attribute_value(of)
        .map_err(|error| Error::Corrupt { key: runner.id.to_string(), reason: error.to_string() })
}

fn word(status: Presence) -> &'static str {
    match status {
        Presence::Online => "online",
        Presence::Offline => "offline",
        Presence::Deleting => "deleting",
    }
}

impl Store {
    /// Stores that a runner was heard.
    ///
    /// Writes: RUNNER updated, but its slots and its people's wish, if `epoch`, `instance` and whether a
    /// drain is wanted are the ones seen, it is not being deleted, and nothing newer was heard: a function that
    /// stalled must not make it look silent. Not over the slots: a claim at the same time must not refuse a
    /// heartbeat. The oldest claims go that need not be known any more, if they are still the oldest.
    /// Idempotent: a repeat says the same a little later.
    pub async fn heartbeat(&self, seen: &Runner, heard: &Runner) -> Result<Write, Error> {
        let drained = if seen.drain.is_some() { "attribute_exists(drain)" } else { "attribute_not_exists(drain)" };
        let mut removes = "spared_until".to_owned();
        let forgets = seen.claims.len().saturating_sub(heard.claims.len());
        // The last of them first: not every DynamoDB counts as if all went at once.
        removes.extend((0..forgets).rev().map(|at| format!(", claims[{at}]")));
        // Claims come at the end meanwhile, and another heartbeat may have forgotten the same.
        let oldest = seen.claims.first().filter(|_| forgets > 0);
        let forgotten = if oldest.is_some() { " AND claims[0] = :oldest" } else { "" };
        let condition = format!(
            "epoch = :seen AND instance = :instance AND #status <> :deleting AND last_heartbeat <= :heard AND {drained}{forgotten}"
        );
        let mut sets = "#status = :status, epoch = :epoch, last_heartbeat = :heard, heard = :true, \
                        active = :active, draining = :draining"
            .to_owned();
        let mut condition = Condition::of(&condition)
            .name("#status", "status")
            .value(":seen", number(seen.epoch))
            .value(":instance", text(seen.instance.as_str()))
            .value(":deleting", text(word(Presence::Deleting)))
            .value(":status", text(word(heard.status)))
            .value(":epoch", number(heard.epoch))
            .value(":heard", number(heard.last_heartbeat.millis()))
            .value(":true", AttributeValue::Bool(true))
            .value(":active", value(seen, &heard.active)?)
            .value(":draining", AttributeValue::Bool(heard.draining));
        if let Some(oldest) = oldest {
            condition = condition.value(":oldest", text(oldest.as_str()));
        }
        if let Some(at) = heard.drain.as_ref().and_then(|drain| drain.acknowledged) {
            sets.push_str(", drain.acknowledged = :acknowledged");
            condition = condition.value(":acknowledged", number(at.millis()));
        }
        Transaction::new("store a heartbeat")
            .update(key::runner(&seen.id), &sets, &removes, condition)
            .commit(self)
            .await
    }

    /// Takes a silent runner Offline.
    ///
    /// Writes: RUNNER updated if it is Online and was not heard since it was read.
    /// Idempotent: a repeat is `Stale`, and reading again shows it Offline.
    pub async fn take_offline(&self, seen: &Runner, offline: &Runner) -> Result<Write, Error> {
        let mut sets = "#status = :offline, epoch = :epoch".to_owned();
        let mut condition = Condition::of("#status = :online AND last_heartbeat = :heard AND epoch = :seen")
            .name("#status", "status")
            .value(":online", text(word(Presence::Online)))
            .value(":offline", text(word(Presence::Offline)))
            .value(":heard", number(seen.last_heartbeat.millis()))
            .value(":seen", number(seen.epoch))
            .value(":epoch", number(offline.epoch));
        if let Some(until) = offline.spared_until {
            sets.push_str(", spared_until = :spared");
            condition = condition.value(":spared", number(until.millis()));
        }
        Transaction::new("take a runner offline").update(key::runner(&seen.id), &sets, "", condition).commit(self).await
    }

    /// Stores what people want of a runner: a drain, or none.
    ///
    /// Writes: RUNNER updated if it is there and is not being deleted.
    /// Idempotent: a level; the last one that was asked for stands.
    pub async fn set_drain(&self, runner: &Runner, drain: Option<&Drain>) -> Result<Write, Error> {
        let condition = Condition::of("attribute_exists(pk) AND #status <> :deleting")
            .name("#status", "status")
            .value(":deleting", text(word(Presence::Deleting)));
        let transaction = Transaction::new("drain a runner");
        let key = key::runner(&runner.id);
        match drain {
            Some(drain) => {
                let condition = condition.value(":drain", value(runner, drain)?);
                transaction.update(key, "drain = :drain", "", condition)
            }
            None => transaction.update(key, "", "drain", condition),
        }
        .commit(self)
        .await
    }

    /// Begins to remove a runner: nothing is claimed or heard for it any more.
    ///
    /// Writes: RUNNER updated if it is in the epoch that was read: one that was heard of again since by
    /// registering is not removed.
    /// Idempotent: a repeat is `Stale`, and reading again shows it so.
    pub async fn begin_removal(&self, seen: &Runner) -> Result<Write, Error> {
        let condition = Condition::of("epoch = :seen AND #status <> :deleting")
            .name("#status", "status")
            .value(":deleting", text(word(Presence::Deleting)))
            .value(":seen", number(seen.epoch))
            .value(":epoch", number(seen.epoch.saturating_add(1)));
        Transaction::new("begin to remove a runner")
            .update(key::runner(&seen.id), "#status = :deleting, epoch = :epoch", "", condition)
            .commit(self)
            .await
    }

    /// Removes a runner with its profile and its name.
    ///
    /// Writes: RUNNER deleted if it is being removed and has no slot: the end of a job frees a slot and must
    /// find it; PROFILE; NAME if it is its own.
    /// Idempotent: what is gone already is not missed.
    pub async fn remove_runner(&self, runner: &Runner) -> Result<Write, Error> {
        let empty = Condition::of("attribute_not_exists(pk) OR (#status = :deleting AND size(slots) = :none)")
            .name("#status", "status")
            .value(":deleting", text(word(Presence::Deleting)))
            .value(":none", number(0));
        let own = Condition::of("attribute_not_exists(pk) OR #owner = :own")
            .name("#owner", "owner")
            .value(":own", text(runner.id.as_str()));
        let any = Condition::of("attribute_not_exists(pk) OR id = :own").value(":own", text(runner.id.as_str()));
        Transaction::new("remove a runner")
            .delete(key::runner(&runner.id), empty)
            .delete(key::runner_profile(&runner.id), any)
            .delete(key::runner_name(&runner.name), own)
            .commit(self)
            .await
    }

    /// Empties a slot whose job is not held by it.
    ///
    /// Writes: RUNNER one slot less, if it is of that very claim.
    pub async fn drop_slot(&self, runner: &Runner, job: &JobId, slot: &Slot) -> Result<Write, Error> {
        let condition = Condition::of("slots.#job.claim = :claim")
            .name("#job", job.as_str())
            .value(":claim", text(slot.claim.as_str()));
        Transaction::new("empty a slot").update(key::runner(&runner.id), "", "slots.#job", condition).commit(self).await
    }
}
