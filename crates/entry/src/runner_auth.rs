//! Authenticates self-hosted runners.

use crate::Problem;
use crate::auth::{bearer_token, load_valid_token};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use pullyard_control::Context;
use pullyard_control::runner::RunnerToken;
use pullyard_store::TokenKind;

/// A valid runner token, read consistently at every call, so that a revoked token fails at once.
#[derive(Clone, Debug)]
pub struct RunnerCaller {
    pub token: RunnerToken,
    bound_name: Option<String>,
}

impl RunnerCaller {
    pub fn authorize_name(&self, name: &str) -> Result<(), Problem> {
        match &self.bound_name {
            Some(only) if only != name => Err(Problem::not_allowed(&format!("register the runner {name}"))
                .with_help("Use the name that the token was created for, or another token.")),
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
        let text = bearer_token(parts)?.to_owned();
        let token = load_valid_token(&Context::from_ref(state), &text, TokenKind::Runner).await?;
        Ok(Self { token: RunnerToken { hash: token.hash, projects: token.projects }, bound_name: token.runner })
    }
}
