//! Extracts the caller of a REST request; refuses an invalid token before any lookup.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};

use super::refusal::ApiError;
use crate::{
    access::{AccessDecision, Actor, Authority, Requirement},
    forge_state::Shared,
    repositories::RepositoryEntry,
    users::Credentials,
};

pub enum Caller {
    Anonymous,
    Actor(Box<Actor>),
    App(u64),
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        Ok(match shared.users.authenticate_bearer(&parts.headers) {
            Credentials::Member(member) => Self::Actor(Box::new(Actor::from_member(&member))),
            Credentials::Missing => Self::Anonymous,
            Credentials::UnknownToken(token) => {
                if let Some(actor) = shared.extension.authenticate_token(shared, &token).await {
                    Self::Actor(Box::new(actor))
                } else {
                    Self::App(shared.extension.authenticate_app(shared, &token).await.map_err(ApiError::unauthorized)?)
                }
            }
        })
    }
}

impl Caller {
    pub fn actor(self) -> Result<Actor, ApiError> {
        match self {
            Self::Actor(actor) => Ok(*actor),
            Self::Anonymous => Err(ApiError::requires_authentication()),
            Self::App(_) => Err(ApiError::not_accessible()),
        }
    }

    pub fn user(self) -> Result<Actor, ApiError> {
        let actor = self.actor()?;
        if matches!(actor.authority, Authority::App(_)) { Err(ApiError::not_accessible()) } else { Ok(actor) }
    }

    pub fn app(self) -> Result<u64, ApiError> {
        match self {
            Self::App(app) => Ok(app),
            Self::Anonymous => Err(ApiError::requires_authentication()),
            Self::Actor(_) => Err(ApiError::unauthorized("A JSON web token could not be decoded".to_owned())),
        }
    }

    /// Repositories are private, so the response without a token is 404, as on GitHub.
    pub async fn authorize(
        self,
        shared: &Shared,
        (owner, name): (&str, &str),
        need: Requirement,
    ) -> Result<(Actor, Arc<RepositoryEntry>), ApiError> {
        let Self::Actor(actor) = self else { return Err(ApiError::not_found()) };
        let entry = shared.repositories.find(owner, name).await.ok_or_else(ApiError::not_found)?;
        match actor.check(&entry, need).await {
            AccessDecision::Yes => Ok((*actor, entry)),
            AccessDecision::Hidden => Err(ApiError::not_found()),
            AccessDecision::No if matches!(actor.authority, Authority::App(_)) => Err(ApiError::not_accessible()),
            // Only administrators may know about hooks.
            AccessDecision::No if need.permission == Requirement::HOOKS_READ.permission => Err(ApiError::not_found()),
            AccessDecision::No => Err(ApiError::role_too_low(need.role)),
        }
    }
}
