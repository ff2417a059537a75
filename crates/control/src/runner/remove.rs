//! Removes a self-hosted runner.

use crate::{Context, Error};
use pullyard_domain::agent::runner::{Presence, Runner};
use pullyard_domain::text::id::RunnerId;
use pullyard_store::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalState {
    Removed,
    InProgress,
}

/// Removes a runner, at once if it has no job. Otherwise the sweeper takes its jobs away first.
/// Idempotent: a repeat continues the removal; afterwards the runner is `NotFound`.
pub async fn remove_runner(ctx: &Context, id: &RunnerId) -> Result<RemovalState, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let runner = ctx.load_runner(id).await?;
        if runner.status != Presence::Deleting {
            if ctx.store.begin_removal(&runner).await? == Write::Stale {
                rounds.backoff().await?;
                continue;
            }
            tracing::info!(runner = %id, name = %runner.name, "runner removal started");
        }
        // Refused while the runner has a slot; the sweeper removes it after the last one.
        return Ok(match delete_with_mailbox(ctx, &runner).await? {
            Write::Applied => RemovalState::Removed,
            Write::Stale => RemovalState::InProgress,
        });
    }
}

/// Deletes the mailbox first, because its name is lost with the runner. After a crash the sweeper repeats both.
pub(crate) async fn delete_with_mailbox(ctx: &Context, runner: &Runner) -> Result<Write, Error> {
    if let Some(mailbox) = &runner.mailbox {
        ctx.wakeups.delete_mailbox(mailbox).await?;
    }
    Ok(ctx.store.delete_runner(runner).await?)
}
