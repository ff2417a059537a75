//! Self-hosted runners: registration, heartbeats, claims and commands.

mod claim;
mod command;
mod heartbeat;
mod register;
mod remove;
mod trust;
mod view;
mod waiting;

pub use claim::{Answer, Claimed, claim};
pub use command::{Command, command};
pub use heartbeat::heartbeat;
pub use register::{Registration, register};
pub use remove::{Removed, remove};
pub(crate) use trust::trusted;
pub(crate) use view::Waits;
pub use view::{runner, runners};

use crate::{Context, Error};
use pullyard_domain::fleet::Member;
use pullyard_domain::id::{ProjectId, RunnerId};
use pullyard_domain::runner::Runner;
use pullyard_domain::runner::sweep::TokenState;
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
async fn own(ctx: &Context, token: &RunnerToken, id: &RunnerId) -> Result<Runner, Error> {
    let runner = ctx.store.runner(id).await?.filter(|runner| runner.token == token.hash);
    runner.ok_or_else(|| Error::NotFound { what: "runner", name: id.to_string() })
}

async fn own_member(ctx: &Context, token: &RunnerToken, id: &RunnerId) -> Result<Member, Error> {
    let member = ctx.store.member(id).await?.filter(|member| member.runner.token == token.hash);
    member.ok_or_else(|| Error::NotFound { what: "runner", name: id.to_string() })
}

pub(crate) async fn token_state(ctx: &Context, hash: &str) -> Result<TokenState, Error> {
    let now = ctx.clock.now();
    let good = ctx.store.token(hash).await?.is_some_and(|token| {
        token.kind == TokenKind::Runner && !token.revoked && token.expires_at.is_none_or(|at| now < at)
    });
    Ok(if good { TokenState::Valid } else { TokenState::Invalid })
}
