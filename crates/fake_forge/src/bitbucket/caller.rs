//! The caller of Bitbucket's API, as an extractor. A wrong token is rejected before any lookup.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};

use super::{refusal::Refusal, uuid};
use pullyard_local_forge::access::{AccessDecision, Actor, Requirement};
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::users::{Credentials, basic_password};

pub(crate) struct Caller(Option<Actor>);

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        let credentials = shared.users.authenticate(&parts.headers, |scheme, value| {
            if scheme.eq_ignore_ascii_case("bearer") { Some(value.to_owned()) } else { basic_password(scheme, value) }
        });
        match credentials {
            Credentials::Member(member) => Ok(Self(Some(Actor::from_member(&member)))),
            Credentials::Missing => Ok(Self(None)),
            Credentials::UnknownToken(_) => Err(Refusal::unauthorized()),
        }
    }
}

impl Caller {
    pub(super) fn actor(self) -> Result<Actor, Refusal> {
        self.0.ok_or_else(Refusal::unauthorized)
    }

    /// The private repository. Without a token it is 404, as on Bitbucket.
    pub(super) async fn repository(
        self,
        shared: &Shared,
        (workspace, slug): (&str, &str),
        need: Requirement,
    ) -> Result<(Actor, Arc<RepositoryEntry>), Refusal> {
        let actor = self.0.ok_or_else(Refusal::no_repository)?;
        let entry = find(shared, workspace, slug).await.ok_or_else(Refusal::no_repository)?;
        match actor.check(&entry, need).await {
            AccessDecision::Yes => Ok((actor, entry)),
            AccessDecision::Hidden => Err(Refusal::no_repository()),
            AccessDecision::No => Err(Refusal::missing_permission(need)),
        }
    }
}

/// Finds by slug or by UUID; Bitbucket ignores the workspace for a UUID.
async fn find(shared: &Shared, workspace: &str, slug: &str) -> Option<Arc<RepositoryEntry>> {
    if !slug.starts_with('{') {
        return shared.repositories.find(workspace, slug).await;
    }
    let wanted = slug.to_ascii_lowercase();
    shared.repositories.list().await.into_iter().find(|entry| uuid::of_repository(entry.id) == wanted)
}
