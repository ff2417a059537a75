//! Checks that a runner may still work when its attempt requests something.

use super::load_token_state;
use crate::{Context, Error};
use pullyard_domain::agent::runner::Presence;
use pullyard_domain::job::Job;
use pullyard_domain::job::sweep::runners::TokenState;

/// The lease is lost once the runner is removed or its token revoked, even before the sweeper ends the attempt.
pub(crate) async fn check_runner_trust(ctx: &Context, job: &Job) -> Result<(), Error> {
    let Some(id) = job.run.as_ref().and_then(|run| run.runner.as_ref()) else { return Ok(()) };
    let lost = || Error::LeaseLost { recorded: false };
    let runner =
        ctx.store.load_runner(id).await?.filter(|runner| runner.status != Presence::Deleting).ok_or_else(lost)?;
    match load_token_state(ctx, &runner.token).await? {
        TokenState::Valid => Ok(()),
        TokenState::Invalid => Err(lost()),
    }
}
