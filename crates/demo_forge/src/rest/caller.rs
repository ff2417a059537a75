//! Who calls the REST API, as an extractor: a wrong token is refused before anything is looked up.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};

use super::refusal::Refusal;
use crate::{
    forge::Shared,
    repositories::Entry,
    users::{Credentials, User},
};

/// Somebody with a right token, or nobody; never somebody with a wrong one.
pub(crate) struct Caller(Option<User>);

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        match shared.users.by_bearer(&parts.headers) {
            Credentials::Of(user) => Ok(Self(Some(user.clone()))),
            Credentials::Missing => Ok(Self(None)),
            Credentials::Wrong => Err(Refusal::bad_credentials()),
        }
    }
}

impl Caller {
    pub(crate) fn user(self) -> Result<User, Refusal> {
        self.0.ok_or_else(Refusal::requires_authentication)
    }

    /// The repository, which is private: without a token it is not there, as on GitHub.
    pub(crate) async fn repository(
        self,
        shared: &Shared,
        owner: &str,
        name: &str,
    ) -> Result<(User, Arc<Entry>), Refusal> {
        let user = self.0.ok_or_else(Refusal::not_found)?;
        let entry = shared.repositories.find(owner, name).await;
        Ok((user, entry.ok_or_else(Refusal::not_found)?))
    }
}
