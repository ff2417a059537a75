//! Registers a self-hosted runner.

use super::RunnerToken;
use crate::{Context, Error};
use pullyard_domain::agent::runner::order::Updates;
use pullyard_domain::agent::runner::{
    MAX_SLOTS, OFFLINE_AFTER_SECS, Profile, Refusal, Runner, RunnerIsolation, RunnerRegistration, validate_name,
};
use pullyard_domain::text::id::{InstanceId, JobId, MailboxId, RunnerId};
use pullyard_store::{RegistrationWrite, Write};
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub struct Registration {
    pub name: String,
    pub instance: InstanceId,
    pub capabilities: BTreeSet<String>,
    pub labels: BTreeSet<String>,
    pub version: String,
    pub slots: u32,
    pub offline_secs: Option<u64>,
    pub isolation: Option<RunnerIsolation>,
    pub updates: Option<Updates>,
    /// Jobs that outlived an earlier process.
    pub active_jobs: BTreeSet<JobId>,
}

/// Checks whether an instance may use a name, which no other instance has, and registers nothing.
/// Errors: `Invalid`; `Runner` if another instance or token has the name, or the runner is being removed.
pub async fn check_runner_name(ctx: &Context, token: &RunnerToken, new: &Registration) -> Result<RunnerId, Error> {
    new.check()?;
    let id = RunnerId::for_registration(&token.hash, &new.name);
    if let Some(existing) = load_own(ctx, &id, &new.name).await? {
        existing.check_name(&new.instance, ctx.clock.now()).map_err(Error::Runner)?;
    }
    Ok(id)
}

/// The runner with this id. Errors: `Runner` if another token has its name.
async fn load_own(ctx: &Context, id: &RunnerId, name: &str) -> Result<Option<Runner>, Error> {
    let (existing, owner) = tokio::try_join!(ctx.store.load_runner(id), ctx.store.load_runner_id(name))?;
    if owner.is_some_and(|owner| owner != *id) {
        // A token of other projects may try names.
        tracing::info!(runner = %id, name, "runner name refused: another token has it");
        return Err(Error::Runner(Refusal::NameTaken { name: name.to_owned() }));
    }
    Ok(existing)
}

impl Registration {
    fn check(&self) -> Result<(), Error> {
        let invalid = |pointer, fault: &str| Err(Error::Invalid { pointer, fault: fault.into() });
        if let Err(fault) = validate_name(&self.name) {
            return invalid("/name", fault);
        }
        if self.capabilities.is_empty() {
            return invalid("/capabilities", "give at least one agent");
        }
        if !(1..=MAX_SLOTS).contains(&self.slots) {
            return invalid("/slots", "use 1 to 12");
        }
        if self.offline_secs.is_some_and(|secs| !OFFLINE_AFTER_SECS.contains(&secs)) {
            return invalid("/offline_after_secs", "use 90 to 3600 seconds");
        }
        Ok(())
    }
}

/// Idempotent: by the process; a repeat updates its active jobs and profile, and creates its mailbox if it is missing.
/// Errors: `Invalid`; `Runner` if another process is alive, the name is taken, or the runner is being removed.
pub async fn register_runner(ctx: &Context, token: &RunnerToken, new: &Registration) -> Result<Runner, Error> {
    new.check()?;
    let id = RunnerId::for_registration(&token.hash, &new.name);
    let profile = Profile {
        id: id.clone(),
        name: new.name.clone(),
        capabilities: new.capabilities.clone(),
        labels: new.labels.clone(),
        version: new.version.clone(),
        projects: token.projects.clone(),
        isolation: new.isolation.as_ref().map(RunnerIsolation::truncate_texts),
    };
    let mut rounds = ctx.retries(&id);
    loop {
        let now = ctx.clock.now();
        let existing = load_own(ctx, &id, &new.name).await?;
        let registration = RunnerRegistration {
            id: id.clone(),
            name: new.name.clone(),
            token: token.hash.clone(),
            instance: new.instance.clone(),
            max_slots: new.slots,
            active_jobs: new.active_jobs.clone(),
            new_mailbox: random_mailbox()?,
            offline_secs: new.offline_secs,
            updates: new.updates,
        };
        let runner = Runner::register(existing.as_ref(), registration, now).map_err(Error::Runner)?;
        let parts = RegistrationWrite { runner: &runner, profile: &profile, previous: existing.as_ref() };
        if ctx.store.register_runner(&parts).await? == Write::Applied {
            tracing::info!(runner = %id, name = %new.name, epoch = runner.epoch, "runner registered");
            // After the write, so that no mailbox is left whose name is not stored.
            ctx.create_mailbox(&runner).await;
            return Ok(runner);
        }
        rounds.backoff().await?;
    }
}

pub(super) fn random_name() -> String {
    data_encoding::BASE32_NOPAD.encode(&rand::random::<[u8; 16]>()).to_lowercase()
}

/// The name is the permission to receive the runner's hints.
fn random_mailbox() -> Result<MailboxId, Error> {
    MailboxId::new(random_name()).map_err(|error| Error::Inconsistent(error.to_string()))
}
