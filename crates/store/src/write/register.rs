//! Registers self-hosted runners.

use crate::item::RunnerName;
use crate::transaction::{Condition, Transaction, number_value, string_value};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::runner::{Profile, Runner};

#[derive(Clone, Debug)]
pub struct RegistrationWrite<'a> {
    pub runner: &'a Runner,
    pub profile: &'a Profile,
    /// The runner as it was read; `None` if it is new.
    pub seen: Option<&'a Runner>,
}

impl Store {
    /// Registers a runner, replaces a silent process by a new one, or updates the data of the same process.
    ///
    /// Writes: RUNNER if absent, or if `epoch`, `last_heartbeat`, `slots`, `claims` and the presence of `drain` are
    /// those seen; PROFILE; NAME if absent or its own. A heartbeat since then prevents a takeover. A takeover preserves
    /// slots and a requested drain, and loses no claim that was added since.
    /// Idempotent: a repeat is `Stale`, and reading again shows the same instance.
    pub async fn register_runner(&self, registered: &RegistrationWrite<'_>) -> Result<Write, Error> {
        let epoch = match registered.seen {
            None => Condition::absent(),
            Some(seen) => {
                let slots = serde_dynamo::to_attribute_value(&seen.slots)
                    .map_err(|error| Error::Corrupt { key: seen.id.to_string(), reason: error.to_string() })?;
                let drained =
                    if seen.drain.is_some() { "attribute_exists(drain)" } else { "attribute_not_exists(drain)" };
                // A job that was claimed and has ended since is only visible by its claim.
                let claims =
                    (!seen.claims.is_empty()).then(|| seen.claims.iter().map(|claim| string_value(claim.as_str())));
                let claimed = if claims.is_some() { "claims = :claims" } else { "attribute_not_exists(claims)" };
                let seen_is_there = format!(
                    "epoch = :epoch AND last_heartbeat = :heard AND slots = :slots AND {drained} AND {claimed}"
                );
                let mut condition = Condition::new(&seen_is_there);
                if let Some(claims) = claims {
                    condition = condition.value(":claims", AttributeValue::L(claims.collect()));
                }
                condition
                    .value(":epoch", number_value(seen.epoch))
                    .value(":heard", number_value(seen.last_heartbeat.millis()))
                    .value(":slots", slots)
            }
        };
        let own = || string_value(registered.runner.id.as_str());
        let name = RunnerName { name: registered.profile.name.clone(), owner: registered.runner.id.clone() };
        Transaction::new("register a runner")
            .put(registered.runner, epoch)?
            .put(registered.profile, Condition::new("attribute_not_exists(pk) OR id = :own").value(":own", own()))?
            .put(
                &name,
                Condition::new("attribute_not_exists(pk) OR #owner = :own")
                    .name("#owner", "owner")
                    .value(":own", own()),
            )?
            .commit(self)
            .await
    }
}
