//! Extracts the caller of a REST request; refuses an invalid token before any lookup.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{Method, request::Parts},
};

use super::{asked::Asked, refusal::Refusal};
use crate::{
    access::{Actor, Allowed, May, Need},
    names,
    repositories::Entry,
    shared::Shared,
    users::Credentials,
};

pub struct Caller {
    who: Who,
    /// Method and path are stored for redirects.
    method_is_get: bool,
    path: String,
}

enum Who {
    Nobody,
    Actor(Box<Actor>),
    App(u64),
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        let who = match shared.users.by_bearer(&parts.headers) {
            Credentials::Of(member) => Who::Actor(Box::new(Actor::of(&member))),
            Credentials::Missing => Who::Nobody,
            Credentials::Other(token) => {
                if let Some(actor) = shared.extension.actor(shared, &token).await {
                    Who::Actor(Box::new(actor))
                } else {
                    Who::App(shared.extension.app(shared, &token).await.map_err(Refusal::unauthorized)?)
                }
            }
        };
        let uri = parts.extensions.get::<Asked>().map_or(&parts.uri, |asked| &asked.0);
        let path = uri.path_and_query().map_or_else(String::new, ToString::to_string);
        Ok(Self { who, method_is_get: parts.method == Method::GET, path })
    }
}

impl Caller {
    pub fn actor(self) -> Result<Actor, Refusal> {
        match self.who {
            Who::Actor(actor) => Ok(*actor),
            Who::Nobody => Err(Refusal::requires_authentication()),
            Who::App(_) => Err(Refusal::not_accessible()),
        }
    }

    pub fn user(self) -> Result<Actor, Refusal> {
        let actor = self.actor()?;
        if matches!(actor.may, May::Granted(_)) { Err(Refusal::not_accessible()) } else { Ok(actor) }
    }

    pub fn app(self) -> Result<u64, Refusal> {
        match self.who {
            Who::App(app) => Ok(app),
            Who::Nobody => Err(Refusal::requires_authentication()),
            Who::Actor(_) => Err(Refusal::unauthorized("A JSON web token could not be decoded".to_owned())),
        }
    }

    /// Repositories are private, so the response without a token is 404, as on GitHub.
    pub async fn repository(
        self,
        shared: &Shared,
        (owner, name): (&str, &str),
        need: Need,
    ) -> Result<(Actor, Arc<Entry>), Refusal> {
        let Who::Actor(actor) = self.who else { return Err(Refusal::not_found()) };
        let Some(entry) = shared.repositories.find(owner, name).await else {
            let key = names::lookup_key(owner, name);
            let moved = shared.state.read(|state| state.moved.get(&key).copied()).await;
            let Some(entry) = shared.repositories.by_id(moved.unwrap_or(0)).await else {
                return Err(Refusal::not_found());
            };
            if actor.may(&entry, Need::METADATA).await != Allowed::Yes {
                return Err(Refusal::not_found());
            }
            let rest = self.path.strip_prefix(&format!("/api/v3/repos/{owner}/{name}")).unwrap_or_default();
            let url = format!("{}/api/v3/repositories/{}{rest}", shared.url, entry.id);
            return Err(Refusal::moved(url, self.method_is_get));
        };
        match actor.may(&entry, need).await {
            Allowed::Yes => Ok((*actor, entry)),
            Allowed::Hidden => Err(Refusal::not_found()),
            Allowed::No if matches!(actor.may, May::Granted(_)) => Err(Refusal::not_accessible()),
            // Only administrators may know about hooks.
            Allowed::No if need.permission == Need::HOOKS_READ.permission => Err(Refusal::not_found()),
            Allowed::No => Err(Refusal::role_too_low(need.role)),
        }
    }
}
