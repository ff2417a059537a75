//! Checks that a self-hosted runner may still work, when an attempt requests something.

use super::token_state;
use crate::{Context, Error};
use pullyard_domain::job::Run;
use pullyard_domain::runner::Presence;
use pullyard_domain::runner::sweep::Token;

/// Refuses the lease of an attempt whose runner was removed or whose token was revoked, until the sweeper ends it.
pub(crate) async fn trusted(ctx: &Context, run: &Run) -> Result<(), Error> {
    let Some(id) = &run.runner else { return Ok(()) };
    let lost = || Error::LeaseLost { recorded: false };
    let runner = ctx.store.runner(id).await?.filter(|runner| runner.status != Presence::Deleting).ok_or_else(lost)?;
    match token_state(ctx, &runner.token).await? {
        Token::Good => Ok(()),
        Token::Dead => Err(lost()),
    }
}
