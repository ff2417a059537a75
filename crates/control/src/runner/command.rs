//! Drains and resumes a self-hosted runner.

use crate::{Context, Error};
use pullyard_domain::id::RunnerId;
use pullyard_domain::runner::{Drain, Presence, Refusal, Runner};
use pullyard_store::Write;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerCommand {
    Drain { by: String },
    Resume,
}

/// Idempotent: a drain stays as first requested.
/// Errors: `NotFound`; `Runner` if the runner is being removed.
pub async fn command_runner(ctx: &Context, id: &RunnerId, command: &RunnerCommand) -> Result<Runner, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let runner = ctx.load_runner(id).await?;
        if runner.status == Presence::Deleting {
            return Err(Error::Runner(Refusal::Deleting { name: runner.name }));
        }
        let drain = match command {
            RunnerCommand::Drain { .. } if runner.drain.is_some() => return Ok(runner),
            RunnerCommand::Resume if runner.drain.is_none() => return Ok(runner),
            RunnerCommand::Drain { by } => Some(Drain { by: by.clone(), at: ctx.clock.now(), acknowledged: None }),
            RunnerCommand::Resume => None,
        };
        if ctx.store.set_drain(&runner, drain.as_ref()).await? == Write::Applied {
            tracing::info!(runner = %id, name = %runner.name, drain = drain.is_some(), "runner command stored");
            return Ok(Runner { drain, ..runner });
        }
        rounds.backoff().await?;
    }
}
