//! Whether a self-hosted runner may still work: asked where an attempt gets something, and by every sweep.

use super::token_state;
use crate::{Context, Error};
use pullyard_domain::job::Run;
use pullyard_domain::runner::Presence;
use pullyard_domain::runner::sweep::Token;

/// Refuses the lease of an attempt whose runner was removed or whose token was taken back. The sweeper ends
/// it a little later; until then it gets no secret and may not push. A Fargate task has no token.
pub(crate) async fn trusted(ctx: &Context, run: &Run) -> Result<(), Error> {
    let Some(id) = &run.runner else { return Ok(()) };
    let lost = || Error::LeaseLost { recorded: false };
    let runner = ctx.store.runner(id).await?.filter(|runner| runner.status != Presence::Deleting).ok_or_else(lost)?;
    match token_state(ctx, &runner.token).await? {
        Token::Good => Ok(()),
        Token::Dead => Err(lost()),
    }
}
