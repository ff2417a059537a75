//! Authenticates self-hosted runners.

use crate::Problem;
use crate::auth::{bearer, stored_for};
use axum::extract::FromRef;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use pullyard_control::Context;
use pullyard_control::runner::RunnerToken;
use pullyard_store::TokenKind;

/// A valid runner token, read consistently at every call, so that a revoked token fails at once.
#[derive(Clone, Debug)]
pub struct RunnerCaller {
    pub token: RunnerToken,
    only: Option<String>,
}

impl RunnerCaller {
    pub fn may_be(&self, name: &str) -> Result<(), Problem> {
        match &self.only {
            Some(only) if only != name => Err(Problem::not_allowed(&format!("register the runner {name}"))
                .help("Use the name that the token was created for, or another token.")),
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
        let text = bearer(parts)?.to_owned();
        let token = stored_for(&Context::from_ref(state), &text, TokenKind::Runner).await?;
        Ok(Self { token: RunnerToken { hash: token.hash, projects: token.projects }, only: token.runner })
    }
}
