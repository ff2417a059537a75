//! Writes the claim of a Ready job, and frees slots of runners.

use crate::key;
use crate::transaction::{Condition, Transaction, number_value, string_value};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::job::Job;
use pullyard_domain::runner::Slot;
use pullyard_domain::time::Timestamp;

impl Store {
    /// Writes: JOB if `rev` is the one seen. For a self-hosted runner also RUNNER: one more slot. It must be Online,
    /// the registered process, and not drain. It must have a free slot and not have this job, and this claim must not
    /// be among its newest successful ones.
    /// Idempotent: by the claim's id, through the domain.
    pub async fn claim_job(&self, claimed: &Job) -> Result<Write, Error> {
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
            let condition = Condition::new(
                "instance = :instance AND #status = :online AND draining = :false AND attribute_not_exists(drain) \
                 AND attribute_not_exists(slots.#job) AND size(slots) < #max \
                 AND (attribute_not_exists(claims) OR NOT contains(claims, :claim))",
            )
            .name("#status", "status")
            .name("#max", "max")
            .name("#job", claimed.id.as_str())
            .value(":instance", string_value(run.instance.as_str()))
            .value(":online", string_value("online"))
            .value(":claim", string_value(run.claim.as_str()))
            .value(":claims", AttributeValue::L(vec![string_value(run.claim.as_str())]))
            .value(":none", AttributeValue::L(Vec::new()))
            .value(":false", AttributeValue::Bool(false))
            .value(":slot", slot);
            let sets = "slots.#job = :slot, claims = list_append(if_not_exists(claims, :none), :claims)";
            transaction = transaction.update(key::runner(runner), sets, "", condition);
        }
        transaction.commit(self).await
    }
}

/// The state of the runner that an end or a requeue must prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerCondition {
    /// No state: the attempt's own finish, a time limit, or a permanent fault.
    Exists,
    Offline {
        epoch: u32,
    },
    /// No later heartbeat has arrived.
    LastHeartbeat {
        epoch: u32,
        at: Timestamp,
    },
}

/// Frees the slot of a self-hosted runner, as a part of an end or a requeue. A repeated removal is harmless, and a
/// runner with a slot cannot be deleted. Without a proof, the runner only has to exist.
pub(super) fn free_slot(transaction: Transaction, before: &Job, proof: RunnerCondition) -> Transaction {
    let Some(runner) = before.run.as_ref().and_then(|run| run.runner.as_ref()) else {
        return transaction;
    };
    let condition = match proof {
        RunnerCondition::Exists => Condition::new("attribute_exists(pk)"),
        RunnerCondition::Offline { epoch } => Condition::new("#status = :offline AND epoch = :epoch")
            .name("#status", "status")
            .value(":offline", string_value("offline"))
            .value(":epoch", number_value(epoch)),
        RunnerCondition::LastHeartbeat { epoch, at } => Condition::new("epoch = :epoch AND last_heartbeat = :heard")
            .value(":epoch", number_value(epoch))
            .value(":heard", number_value(at.millis())),
    };
    transaction.update(key::runner(runner), "", "slots.#job", condition.name("#job", before.id.as_str()))
}
