//! Extracts the caller of a REST request; refuses an invalid token before any lookup.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{Method, request::Parts},
};

use super::{original_uri::OriginalUri, refusal::ApiError};
use crate::{
    access::{AccessDecision, Actor, Authority, Requirement},
    forge_state::Shared,
    names,
    repositories::RepositoryEntry,
    users::Credentials,
};

pub struct Caller {
    identity: CallerIdentity,
    is_get: bool,
    path: String,
}

enum CallerIdentity {
    Anonymous,
    Actor(Box<Actor>),
    App(u64),
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        let who = match shared.users.authenticate_bearer(&parts.headers) {
            Credentials::Member(member) => CallerIdentity::Actor(Box::new(Actor::from_member(&member))),
            Credentials::Missing => CallerIdentity::Anonymous,
            Credentials::UnknownToken(token) => {
                if let Some(actor) = shared.extension.authenticate_token(shared, &token).await {
                    CallerIdentity::Actor(Box::new(actor))
                } else {
                    CallerIdentity::App(
                        shared.extension.authenticate_app(shared, &token).await.map_err(ApiError::unauthorized)?,
                    )
                }
            }
        };
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let path = uri.path_and_query().map_or_else(String::new, ToString::to_string);
        Ok(Self { identity: who, is_get: parts.method == Method::GET, path })
    }
}

impl Caller {
    pub fn actor(self) -> Result<Actor, ApiError> {
        match self.identity {
            CallerIdentity::Actor(actor) => Ok(*actor),
            CallerIdentity::Anonymous => Err(ApiError::requires_authentication()),
            CallerIdentity::App(_) => Err(ApiError::not_accessible()),
        }
    }

    pub fn user(self) -> Result<Actor, ApiError> {
        let actor = self.actor()?;
        if matches!(actor.authority, Authority::App(_)) { Err(ApiError::not_accessible()) } else { Ok(actor) }
    }

    pub fn app(self) -> Result<u64, ApiError> {
        match self.identity {
            CallerIdentity::App(app) => Ok(app),
            CallerIdentity::Anonymous => Err(ApiError::requires_authentication()),
            CallerIdentity::Actor(_) => Err(ApiError::unauthorized("A JSON web token could not be decoded".to_owned())),
        }
    }

    /// Repositories are private, so the response without a token is 404, as on GitHub.
    pub async fn authorize(
        self,
        shared: &Shared,
        (owner, name): (&str, &str),
        need: Requirement,
    ) -> Result<(Actor, Arc<RepositoryEntry>), ApiError> {
        let CallerIdentity::Actor(actor) = self.identity else { return Err(ApiError::not_found()) };
        let Some(entry) = shared.repositories.find(owner, name).await else {
            let key = names::lookup_key(owner, name);
            let moved = shared.state.read(|state| state.moved.get(&key).copied()).await;
            let Some(entry) = shared.repositories.by_id(moved.unwrap_or(0)).await else {
                return Err(ApiError::not_found());
            };
            if actor.check(&entry, Requirement::METADATA).await != AccessDecision::Yes {
                return Err(ApiError::not_found());
            }
            let rest = self.path.strip_prefix(&format!("/api/v3/repos/{owner}/{name}")).unwrap_or_default();
            let url = format!("{}/api/v3/repositories/{}{rest}", shared.url, entry.id);
            return Err(ApiError::moved(url, self.is_get));
        };
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
