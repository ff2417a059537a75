//! Somebody takes a Ready job.

use crate::key;
use crate::transaction::{Condition, Transaction, number, text};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::job::Job;
use pullyard_domain::runner::Slot;
use pullyard_domain::time::Timestamp;

impl Store {
    /// Gives a job to whoever the domain put into it.
    ///
    /// Writes: JOB if `rev` is the one seen. For a self-hosted runner also RUNNER: a slot more, if it is
    /// Online, the process that registered, does not drain, has not this job, has room, and this very claim is none
    /// of its newest ones that got a job.
    /// Idempotent: by the claim's id, through the domain.
    pub async fn claim(&self, claimed: &Job) -> Result<Write, Error> {
        let mut transaction = Transaction::new("claim a job").revise(claimed)?;
        if let Some((run, runner)) = claimed.run.as_ref().and_then(|run| Some((run, run.runner.as_ref()?))) {
            let slot = Slot {
                attempt: claimed.attempt,
                claim: run.claim.clone(),
                project: claimed.project.clone(),
                since: run.started,
            };
            let slot = AttributeValue::M(
                serde_dynamo::to_item(&slot)
                    .map_err(|error| Error::Corrupt { key: runner.to_string(), reason: error.to_string() })?,
            );
            let condition = Condition::of(
                "instance = :instance AND #status = :online AND draining = :false AND attribute_not_exists(drain) \
                 AND attribute_not_exists(slots.#job) AND size(slots) < #max \
                 AND (attribute_not_exists(claims) OR NOT contains(claims, :claim))",
            )
            .name("#status", "status")
            .name("#max", "max")
            .name("#job", claimed.id.as_str())
            .value(":instance", text(run.instance.as_str()))
            .value(":online", text("online"))
            .value(":claim", text(run.claim.as_str()))
            .value(":claims", AttributeValue::L(vec![text(run.claim.as_str())]))
            .value(":none", AttributeValue::L(Vec::new()))
            .value(":false", AttributeValue::Bool(false))
            .value(":slot", slot);
            let sets = "slots.#job = :slot, claims = list_append(if_not_exists(claims, :none), :claims)";
            transaction = transaction.update(key::runner(runner), sets, "", condition);
        }
        transaction.commit(self).await
    }
}

/// What an end or a requeue proves of the runner that it was decided for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: its own finish, a time limit, or a fault that nothing undoes.
    Nothing,
    Offline {
        epoch: u32,
    },
    /// It was not heard again.
    HeardLast {
        epoch: u32,
        at: Timestamp,
    },
}

/// The part of an end or a requeue that frees the slot of a self-hosted runner.
///
/// Removing a slot twice is harmless, and the runner can't be deleted while it has one, so beside the proof
/// the only condition is that it is there.
pub(super) fn free_slot(transaction: Transaction, before: &Job, proof: Proof) -> Transaction {
    let Some(runner) = before.run.as_ref().and_then(|run| run.runner.as_ref()) else {
        return transaction;
    };
    let condition = match proof {
        Proof::Nothing => Condition::of("attribute_exists(pk)"),
        Proof::Offline { epoch } => Condition::of("#status = :offline AND epoch = :epoch")
            .name("#status", "status")
            .value(":offline", text("offline"))
            .value(":epoch", number(epoch)),
        Proof::HeardLast { epoch, at } => Condition::of("epoch = :epoch AND last_heartbeat = :heard")
            .value(":epoch", number(epoch))
            .value(":heard", number(at.millis())),
    };
    transaction.update(key::runner(runner), "", "slots.#job", condition.name("#job", before.id.as_str()))
}
