//! A self-hosted runner that shows its token.

use crate::Problem;
use crate::auth::{bearer, hash_of};
use axum::extract::FromRef;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use pullyard_control::runner::RunnerToken;
use pullyard_control::{Context, Error};
use pullyard_store::{Token, TokenKind};

/// The prefix of a runner's token.
pub const RUNNER_TOKEN: &str = "rnt_";

/// A self-hosted runner's token that is good now. It is read strongly at every call: a revoked one stops at
/// once.
#[derive(Clone, Debug)]
pub struct RunnerCaller {
    /// What the use cases need of it.
    pub token: RunnerToken,
    only: Option<String>,
}

impl RunnerCaller {
    /// Refuses a name that the token is not for.
    pub fn may_be(&self, name: &str) -> Result<(), Problem> {
        match &self.only {
            Some(only) if only != name => Err(Problem::not_allowed(&format!("register the runner {name}"))
                .help("Use the name that the token was made for, or another token.")),
            _ => Ok(()),
        }
    }
}

impl<T: Send + Sync> FromRequestParts<T> for RunnerCaller
where
    Context: FromRef<T>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &T) -> Result<Self, Problem> {
        let shown = bearer(parts)?;
        if !shown.starts_with(RUNNER_TOKEN) {
            return Err(Problem::not_signed_in());
        }
        let ctx = Context::from_ref(state);
        let stored = ctx.store.token(&hash_of(shown)).await.map_err(Error::from)?;
        let now = ctx.clock.now();
        let good = |token: &Token| {
            token.kind == TokenKind::Runner && !token.revoked && token.expires_at.is_none_or(|at| now < at)
        };
        let token = stored.filter(good).ok_or_else(Problem::not_signed_in)?;
        Ok(Self { token: RunnerToken { hash: token.hash, projects: token.projects }, only: token.runner })
    }
}
