//! Self-hosted runners: registration, heartbeats, claims and commands.

mod candidates;
mod claim;
mod command;
mod heartbeat;
mod register;
mod remove;
mod trust;
mod view;
mod wait_explainer;
mod wake;

pub use claim::{ClaimAnswer, ClaimResult, claim_job};
pub use command::{RunnerCommand, command_runner};
pub use heartbeat::record_heartbeat;
pub use register::{Registration, check_runner_name, register_runner};
pub(crate) use remove::delete_with_mailbox;
pub use remove::{RemovalState, remove_runner};
pub(crate) use trust::check_runner_trust;
pub(crate) use view::load_profiles;
pub use view::{list_runners, list_summaries, load_runner};
pub(crate) use wait_explainer::WaitExplainer;
pub(crate) use wake::wake_runners;

use crate::{Context, Error};
use pullyard_domain::agent::runner::Runner;
use pullyard_domain::job::fleet::Member;
use pullyard_domain::job::sweep::runners::TokenState;
use pullyard_domain::text::id::{ProjectId, RunnerId};
use pullyard_store::TokenKind;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub struct RunnerToken {
    /// The token's hash, which identifies the runner together with its name.
    pub hash: String,
    /// Permitted projects; `None` means all.
    pub projects: Option<BTreeSet<ProjectId>>,
}

/// Loads a runner of this token. Another token's runner is `NotFound`.
async fn load_own_runner(ctx: &Context, token: &RunnerToken, id: &RunnerId) -> Result<Runner, Error> {
    let runner = ctx.store.load_runner(id).await?.filter(|runner| runner.token == token.hash);
    runner.ok_or_else(|| Error::not_found("runner", id))
}

async fn load_own_member(ctx: &Context, token: &RunnerToken, id: &RunnerId) -> Result<Member, Error> {
    let member = ctx.store.load_member(id).await?.filter(|member| member.runner.token == token.hash);
    member.ok_or_else(|| Error::not_found("runner", id))
}

pub(crate) async fn load_token_state(ctx: &Context, hash: &str) -> Result<TokenState, Error> {
    let now = ctx.clock.now();
    let token = ctx.store.load_token(hash).await?;
    let is_valid = token.is_some_and(|token| token.kind == TokenKind::Runner && token.is_valid(now));
    Ok(if is_valid { TokenState::Valid } else { TokenState::Invalid })
}
