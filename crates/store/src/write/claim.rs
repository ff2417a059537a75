//! Somebody takes a Ready job.

use crate::key;
use crate::transaction::{Condition, Transaction, text};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::job::Job;
use pullyard_domain::runner::Slot;

impl Store {
    /// Gives a job to whoever the domain put into it.
    ///
    /// Writes: JOB if `rev` is the one seen. For a self-hosted runner also RUNNER: a slot more, if it is
    /// the process that registered, is not being deleted, does not drain, has not this job, and has room.
    /// Idempotent: by the claim's id, through the domain.
    pub async fn claim(&self, claimed: &Job) -> Result<Write, Error> {
        let mut transaction = Transaction::new("claim a job").revise(claimed)?;
        if let Some((run, runner)) = claimed.run.as_ref().and_then(|run| Some((run, run.runner.as_ref()?))) {
            let slot = Slot { attempt: claimed.attempt, claim: run.claim.clone() };
            let slot = AttributeValue::M(
                serde_dynamo::to_item(&slot)
                    .map_err(|error| Error::Corrupt { key: runner.to_string(), reason: error.to_string() })?,
            );
            let condition = Condition::of(
                "instance = :instance AND #status <> :deleting AND draining = :false \
                 AND attribute_not_exists(slots.#job) AND size(slots) < #max",
            )
            .name("#status", "status")
            .name("#max", "max")
            .name("#job", claimed.id.as_str())
            .value(":instance", text(run.instance.as_str()))
            .value(":deleting", text("deleting"))
            .value(":false", AttributeValue::Bool(false))
            .value(":slot", slot);
            transaction = transaction.update(key::runner(runner), "slots.#job = :slot", "", condition);
        }
        transaction.commit(self).await
    }
}

/// The part of an end or a requeue that frees the slot of a self-hosted runner.
///
/// Removing a slot twice is harmless, and the runner can't be deleted while it has one, so the only
/// condition is that it is there.
pub(super) fn free_slot(transaction: Transaction, before: &Job) -> Transaction {
    let Some(runner) = before.run.as_ref().and_then(|run| run.runner.as_ref()) else {
        return transaction;
    };
    let condition = Condition::of("attribute_exists(pk)").name("#job", before.id.as_str());
    transaction.update(key::runner(runner), "", "slots.#job", condition)
}
