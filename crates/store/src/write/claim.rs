//! Writes the claim of a Ready job, which fills a slot of a self-hosted runner, and frees that slot later.

use crate::item::encode_part;
use crate::key;
use crate::transaction::{Condition, Transaction, number_value, string_value};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::agent::runner::Slot;
use pullyard_domain::job::Job;
use pullyard_domain::text::time::Timestamp;

impl Store {
    /// Stores the claim of an attempt, for a self-hosted runner or for a task.
    /// Writes: JOB if `rev` is the one seen. For a self-hosted runner also RUNNER: one slot and one claim more. The
    /// claim must be new and sent by the registered process. The runner must be Online, without a drain, with a free
    /// slot and no slot for this job.
    /// Idempotent: a repeat is `Stale`. Callers find a job of the same claim before they claim another.
    pub async fn claim_job(&self, job: &Job) -> Result<Write, Error> {
        let mut transaction = Transaction::new("claim a job").revise(job)?;
        if let Some((run, runner)) = job.run.as_ref().and_then(|run| Some((run, run.runner.as_ref()?))) {
            let slot = Slot {
                attempt: job.attempt,
                claim: run.claim.clone(),
                project: job.project.clone(),
                since: run.started,
            };
            let key = key::runner(runner);
            let slot = encode_part(&key, &slot)?;
            // `claims` also contains claims whose jobs have ended: a late repeat of one must not get a second job.
            let condition = Condition::new(
                "instance = :instance AND #status = :online AND draining = :false AND attribute_not_exists(drain) \
                 AND attribute_not_exists(slots.#job) AND size(slots) < #max \
                 AND (attribute_not_exists(claims) OR NOT contains(claims, :claim))",
            )
            .name("#status", "status")
            .name("#max", "max")
            .name("#job", job.id.as_str())
            .value(":instance", string_value(run.instance.as_str()))
            .value(":online", string_value("online"))
            .value(":claim", string_value(run.claim.as_str()))
            .value(":claims", AttributeValue::L(vec![string_value(run.claim.as_str())]))
            .value(":none", AttributeValue::L(Vec::new()))
            .value(":false", AttributeValue::Bool(false))
            .value(":slot", slot);
            let sets = "slots.#job = :slot, claims = list_append(if_not_exists(claims, :none), :claims)";
            transaction = transaction.update(key, sets, "", condition);
        }
        transaction.commit(self).await
    }
}

/// The state of the runner on which an end, a requeue or a suspension is conditional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerCondition {
    /// The runner's state is irrelevant: the attempt's own finish, a user's request, a time limit, a permanent fault.
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

impl Transaction {
    /// Frees the slot in the transaction of an end, a requeue or a suspension. An empty slot is no error.
    pub(super) fn free_slot(self, before: &Job, precondition: RunnerCondition) -> Self {
        let Some(runner) = before.run.as_ref().and_then(|run| run.runner.as_ref()) else { return self };
        let condition = match precondition {
            // A runner with a slot is never deleted. DynamoDB rejects `REMOVE slots.#job` on a missing item as invalid.
            RunnerCondition::Exists => Condition::new("attribute_exists(pk)"),
            RunnerCondition::Offline { epoch } => Condition::new("#status = :offline AND epoch = :epoch")
                .name("#status", "status")
                .value(":offline", string_value("offline"))
                .value(":epoch", number_value(epoch)),
            RunnerCondition::LastHeartbeat { epoch, at } => {
                Condition::new("epoch = :epoch AND last_heartbeat = :heard")
                    .value(":epoch", number_value(epoch))
                    .value(":heard", number_value(at.millis()))
            }
        };
        self.update(key::runner(runner), "", "slots.#job", condition.name("#job", before.id.as_str()))
    }
}
