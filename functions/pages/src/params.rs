//! Extracts path and query parameters; a wrong one becomes an error page.

use crate::fault::Fault;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use pullyard_domain::text::id::ProjectId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(crate) struct Path<T>(pub(crate) T);

pub(crate) struct Query<T>(pub(crate) T);

#[derive(Deserialize)]
pub(crate) struct ProjectQuery {
    pub(crate) project: Option<ProjectId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectForm {
    pub(crate) project: ProjectId,
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let pullyard_entry::Path(value) = pullyard_entry::Path::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let pullyard_entry::Query(value) = pullyard_entry::Query::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}
