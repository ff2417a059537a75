//! Stores the registration of a self-hosted runner with its profile and its name.

use crate::item::RunnerName;
use crate::transaction::{Condition, Transaction, number_value, string_value};
use crate::write::runner::{NO_ORDER, SAME_ORDER, own_name, own_profile, with_order};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::agent::runner::{Profile, Runner};

#[derive(Clone, Debug)]
pub struct RegistrationWrite<'a> {
    pub runner: &'a Runner,
    pub profile: &'a Profile,
    /// The runner that `runner` was computed from; `None` if it is new.
    pub previous: Option<&'a Runner>,
}

impl Store {
    /// Stores a new runner, a new process of a silent runner, or newer data of the same process.
    /// Writes: RUNNER if absent, or if `epoch`, `last_heartbeat`, `slots`, `claims`, `order` and the presence of
    /// `drain` equal those of `previous`; PROFILE and NAME if absent or of this runner. RUNNER is replaced as a whole, so
    /// a heartbeat, a claim, a drain request or an order since the read makes this write `Stale`.
    /// Idempotent: a repeat is `Stale`, and the next read shows the instance that the first call stored.
    pub async fn register_runner(&self, parts: &RegistrationWrite<'_>) -> Result<Write, Error> {
        let unchanged = match parts.previous {
            None => Condition::absent(),
            Some(existing) => {
                let same_drain =
                    if existing.drain.is_some() { "attribute_exists(drain)" } else { "attribute_not_exists(drain)" };
                // A job that was claimed and ended since the read has freed its slot again, so `slots` is unchanged. If
                // this write lost its claim, a repeat of the claim would get a second job.
                let claims = (!existing.claims.is_empty())
                    .then(|| existing.claims.iter().map(|claim| string_value(claim.as_str())));
                let same_claims = if claims.is_some() { "claims = :claims" } else { "attribute_not_exists(claims)" };
                // Each slot by its claim, because a newer version may store more fields in a slot.
                let same_slots = (0..existing.slots.len()).map(|n| format!(" AND slots.#job{n}.claim = :claim{n}"));
                let expression = format!(
                    "epoch = :epoch AND last_heartbeat = :heard AND size(slots) = :slots{} AND {same_drain} AND \
                     {same_claims} AND {}",
                    same_slots.collect::<String>(),
                    if existing.order.is_some() { SAME_ORDER } else { NO_ORDER },
                );
                let mut condition = with_order(Condition::new(&expression), existing.order.as_ref());
                for (n, (job, slot)) in existing.slots.iter().enumerate() {
                    condition = condition
                        .name(&format!("#job{n}"), job.as_str())
                        .value(&format!(":claim{n}"), string_value(slot.claim.as_str()));
                }
                if let Some(claims) = claims {
                    condition = condition.value(":claims", AttributeValue::L(claims.collect()));
                }
                condition
                    .value(":epoch", number_value(existing.epoch))
                    .value(":heard", number_value(existing.last_heartbeat.millis()))
                    .value(":slots", number_value(existing.slots.len()))
            }
        };
        let id = &parts.runner.id;
        let name = RunnerName { name: parts.profile.name.clone(), owner: id.clone() };
        Transaction::new("register a runner")
            .put(parts.runner, unchanged)?
            .put(parts.profile, own_profile(id))?
            .put(&name, own_name(id))?
            .commit(self)
            .await
    }
}
