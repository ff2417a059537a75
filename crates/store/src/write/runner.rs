//! Writes the state of a registered runner: heartbeats, silence, drains, orders and removal.

use crate::item::encode_part;
use crate::key;
use crate::transaction::{Condition, Transaction, number_value, string_value};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::agent::runner::order::{Order, OrderState};
use pullyard_domain::agent::runner::{Drain, Presence, Runner};
use pullyard_domain::text::id::RunnerId;

fn presence_str(status: Presence) -> &'static str {
    match status {
        Presence::Online => "online",
        Presence::Offline => "offline",
        Presence::Deleting => "deleting",
    }
}

fn order_state_str(state: OrderState) -> &'static str {
    match state {
        OrderState::Wanted => "wanted",
        OrderState::Accepted => "accepted",
        OrderState::Done => "done",
        OrderState::Failed => "failed",
    }
}

/// The order that was read is unchanged.
pub(super) const SAME_ORDER: &str = "#order.id = :order AND #order.#state = :order_state";
pub(super) const NO_ORDER: &str = "attribute_not_exists(#order)";

/// Adds the names and values of [`SAME_ORDER`], or of [`NO_ORDER`].
pub(super) fn with_order(condition: Condition, order: Option<&Order>) -> Condition {
    let condition = condition.name("#order", "order");
    let Some(order) = order else { return condition };
    condition
        .name("#state", "state")
        .value(":order", string_value(order.id.as_str()))
        .value(":order_state", string_value(order_state_str(order.state)))
}

impl Store {
    /// Writes: RUNNER except its slots and the requested drain, if `epoch`, `instance` and the presence of `drain` are
    /// those seen, and it is not being deleted; with a report, if its order is the one seen. A newer stored heartbeat
    /// stays: a delayed function must not make a runner look silent. Not over the slots, so that a concurrent claim does not refuse a heartbeat. Obsolete claims
    /// are removed, if they are still the oldest.
    /// Idempotent: a repeat stores the same heartbeat.
    pub async fn record_heartbeat(&self, previous: &Runner, next: &Runner) -> Result<Write, Error> {
        let drained = if previous.drain.is_some() { "attribute_exists(drain)" } else { "attribute_not_exists(drain)" };
        let mut removes = "spared_until".to_owned();
        let forgets = previous.claims.len().saturating_sub(next.claims.len());
        // Remove the last one first: not every DynamoDB applies all removals at once.
        removes.extend((0..forgets).rev().map(|at| format!(", claims[{at}]")));
        // Concurrent claims are appended, and another heartbeat may have removed the same claims.
        let oldest = previous.claims.first().filter(|_| forgets > 0);
        let forgotten = if oldest.is_some() { " AND claims[0] = :oldest" } else { "" };
        // A newer order that was stored in between must not get the report.
        let reported = next.order.as_ref().filter(|_| next.order != previous.order);
        let same_order = if reported.is_some() { format!(" AND {SAME_ORDER}") } else { String::new() };
        let condition = format!(
            "epoch = :seen AND instance = :instance AND #status <> :deleting AND last_heartbeat <= :heard AND \
             {drained}{forgotten}{same_order}"
        );
        let mut sets = "#status = :status, epoch = :epoch, last_heartbeat = :heard, heard = :true, \
                        active = :active, draining = :draining"
            .to_owned();
        let key = key::runner(&previous.id);
        let mut condition = Condition::new(&condition)
            .name("#status", "status")
            .value(":seen", number_value(previous.epoch))
            .value(":instance", string_value(previous.instance.as_str()))
            .value(":deleting", string_value(presence_str(Presence::Deleting)))
            .value(":status", string_value(presence_str(next.status)))
            .value(":epoch", number_value(next.epoch))
            .value(":heard", number_value(next.last_heartbeat.millis()))
            .value(":true", AttributeValue::Bool(true))
            .value(":active", encode_part(&key, &next.active)?)
            .value(":draining", AttributeValue::Bool(next.draining));
        if let Some(since) = next.steady_since.filter(|_| next.steady_since != previous.steady_since) {
            sets.push_str(", steady_since = :steady");
            condition = condition.value(":steady", number_value(since.millis()));
        }
        if let Some(oldest) = oldest {
            condition = condition.value(":oldest", string_value(oldest.as_str()));
        }
        if let Some(at) = next.drain.as_ref().and_then(|drain| drain.acknowledged) {
            sets.push_str(", drain.acknowledged = :acknowledged");
            condition = condition.value(":acknowledged", number_value(at.millis()));
        }
        if let Some(order) = reported {
            sets.push_str(", #order.#state = :next_state");
            condition = with_order(condition, previous.order.as_ref())
                .value(":next_state", string_value(order_state_str(order.state)));
            if let Some(reason) = &order.reason {
                sets.push_str(", #order.reason = :reason");
                condition = condition.value(":reason", string_value(reason));
            }
        }
        Transaction::new("store a heartbeat").update(key, &sets, &removes, condition).commit(self).await
    }

    /// Marks a silent runner Offline.
    /// Writes: RUNNER if it is Online and no heartbeat was stored since it was read.
    /// Idempotent: a repeat is `Stale`, and reading again shows it Offline.
    pub async fn mark_offline(&self, previous: &Runner, offline: &Runner) -> Result<Write, Error> {
        let mut sets = "#status = :offline, epoch = :epoch".to_owned();
        let mut condition = Condition::new("#status = :online AND last_heartbeat = :heard AND epoch = :seen")
            .name("#status", "status")
            .value(":online", string_value(presence_str(Presence::Online)))
            .value(":offline", string_value(presence_str(Presence::Offline)))
            .value(":heard", number_value(previous.last_heartbeat.millis()))
            .value(":seen", number_value(previous.epoch))
            .value(":epoch", number_value(offline.epoch));
        if let Some(until) = offline.spared_until {
            sets.push_str(", spared_until = :spared");
            condition = condition.value(":spared", number_value(until.millis()));
        }
        Transaction::new("take a runner offline")
            .update(key::runner(&previous.id), &sets, "", condition)
            .commit(self)
            .await
    }

    /// Stores or removes the drain that users request for a runner.
    /// Writes: RUNNER if it exists and is not being deleted.
    /// Idempotent: the last request wins.
    pub async fn set_drain(&self, runner: &Runner, drain: Option<&Drain>) -> Result<Write, Error> {
        let condition = Condition::new("attribute_exists(pk) AND #status <> :deleting")
            .name("#status", "status")
            .value(":deleting", string_value(presence_str(Presence::Deleting)));
        let transaction = Transaction::new("drain a runner");
        let key = key::runner(&runner.id);
        match drain {
            Some(drain) => {
                let condition = condition.value(":drain", encode_part(&key, drain)?);
                transaction.update(key, "drain = :drain", "", condition)
            }
            None => transaction.update(key, "", "drain", condition),
        }
        .commit(self)
        .await
    }

    /// Stores an order.
    /// Writes: RUNNER if it is not being deleted, and its epoch and its order are those seen: it has not gone Offline.
    /// Idempotent: a repeat is `Stale`, and reading again shows the order.
    pub async fn set_order(&self, previous: &Runner, order: &Order) -> Result<Write, Error> {
        let seen = if previous.order.is_some() { SAME_ORDER } else { NO_ORDER };
        let key = key::runner(&previous.id);
        let condition = Condition::new(&format!("epoch = :seen AND #status <> :deleting AND {seen}"))
            .name("#status", "status")
            .value(":seen", number_value(previous.epoch))
            .value(":deleting", string_value(presence_str(Presence::Deleting)))
            .value(":new", encode_part(&key, order)?);
        let condition = with_order(condition, previous.order.as_ref());
        Transaction::new("order a runner").update(key, "#order = :new", "", condition).commit(self).await
    }

    /// Begins the removal of a runner, which then accepts no claims and no heartbeats.
    /// Writes: RUNNER if its epoch is the one seen: a runner that registered again since is not removed.
    /// Idempotent: a repeat is `Stale`, and reading again shows the removal.
    pub async fn begin_removal(&self, runner: &Runner) -> Result<Write, Error> {
        let condition = Condition::new("epoch = :seen AND #status <> :deleting")
            .name("#status", "status")
            .value(":deleting", string_value(presence_str(Presence::Deleting)))
            .value(":seen", number_value(runner.epoch))
            .value(":epoch", number_value(runner.epoch.saturating_add(1)));
        Transaction::new("begin to remove a runner")
            .update(key::runner(&runner.id), "#status = :deleting, epoch = :epoch", "", condition)
            .commit(self)
            .await
    }

    /// Writes: RUNNER deleted if it is being removed and has no slot, because the end of a job must find its slot;
    /// PROFILE deleted; NAME deleted if it is its own.
    /// Idempotent: missing items are no error.
    pub async fn delete_runner(&self, runner: &Runner) -> Result<Write, Error> {
        let empty = Condition::new("attribute_not_exists(pk) OR (#status = :deleting AND size(slots) = :none)")
            .name("#status", "status")
            .value(":deleting", string_value(presence_str(Presence::Deleting)))
            .value(":none", number_value(0));
        Transaction::new("remove a runner")
            .delete(key::runner(&runner.id), empty)
            .delete(key::runner_profile(&runner.id), own_profile(&runner.id))
            .delete(key::runner_name(&runner.name), own_name(&runner.id))
            .commit(self)
            .await
    }
}

pub(super) fn own_profile(runner: &RunnerId) -> Condition {
    Condition::new("attribute_not_exists(pk) OR id = :own").value(":own", string_value(runner.as_str()))
}

pub(super) fn own_name(runner: &RunnerId) -> Condition {
    Condition::new("attribute_not_exists(pk) OR #owner = :own")
        .name("#owner", "owner")
        .value(":own", string_value(runner.as_str()))
}
