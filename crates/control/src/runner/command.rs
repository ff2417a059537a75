//! Drains, resumes, restarts and updates a self-hosted runner.

use super::register::random_name;
use crate::{Context, Error};
use pullyard_domain::agent::runner::order::{Order, OrderKind, OrderState};
use pullyard_domain::agent::runner::{Drain, Presence, Refusal, Runner};
use pullyard_domain::job::fleet::Member;
use pullyard_domain::text::id::{OrderId, RunnerId};
use pullyard_store::Write;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerCommand {
    Drain { by: String },
    Resume,
    Restart { by: String },
    Update { by: String, version: String },
}

/// Idempotent: a drain stays as first requested, and an order replaces one that the runner has not accepted.
/// Errors: `NotFound`; `Runner` with the reason of a refusal.
pub async fn command_runner(ctx: &Context, id: &RunnerId, command: &RunnerCommand) -> Result<Runner, Error> {
    let order_id = OrderId::new(random_name()).map_err(|error| Error::Inconsistent(error.to_string()))?;
    let mut rounds = ctx.retries(id);
    loop {
        let member = ctx.store.load_member(id).await?.ok_or_else(|| Error::not_found("runner", id.as_str()))?;
        if let Some(runner) = try_command(ctx, member, command, &order_id).await? {
            return Ok(runner);
        }
        rounds.backoff().await?;
    }
}

/// Returns `None` if the runner has changed since it was read.
async fn try_command(
    ctx: &Context,
    Member { runner, profile }: Member,
    command: &RunnerCommand,
    order_id: &OrderId,
) -> Result<Option<Runner>, Error> {
    let now = ctx.clock.now();
    if runner.status == Presence::Deleting {
        return Err(Error::Runner(Refusal::Deleting { name: runner.name }));
    }
    let (next, write) = match command {
        RunnerCommand::Drain { .. } if runner.drain.is_some() => return Ok(Some(runner)),
        RunnerCommand::Resume if runner.drain.is_none() => return Ok(Some(runner)),
        RunnerCommand::Drain { by } => {
            let drain = Drain { by: by.clone(), at: now, acknowledged: None };
            let write = ctx.store.set_drain(&runner, Some(&drain)).await?;
            (Runner { drain: Some(drain), ..runner }, write)
        }
        RunnerCommand::Resume => {
            let write = ctx.store.set_drain(&runner, None).await?;
            (Runner { drain: None, ..runner }, write)
        }
        RunnerCommand::Restart { by } | RunnerCommand::Update { by, .. } => {
            let (kind, version) = match command {
                RunnerCommand::Update { version, .. } => (OrderKind::Update, Some(version.clone())),
                _ => (OrderKind::Restart, None),
            };
            let order = Order {
                id: order_id.clone(),
                kind,
                version,
                by: by.clone(),
                at: now,
                state: OrderState::Wanted,
                reason: None,
            };
            let next = runner.with_order(order.clone(), &profile.version, now).map_err(Error::Runner)?;
            let write = ctx.store.set_order(&runner, &order).await?;
            (next, write)
        }
    };
    if write == Write::Stale {
        return Ok(None);
    }
    let drain = next.drain.is_some();
    tracing::info!(runner = %next.id, name = %next.name, ?command, drain, "runner command stored");
    Ok(Some(next))
}
