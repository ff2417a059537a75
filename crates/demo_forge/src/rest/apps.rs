//! GitHub Apps: conversion of a manifest, the App itself, its installations and their tokens.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::{caller::Caller, fields::Fields, paging::Paging, pull_requests::parse, refusal::Refusal};
use crate::{
    Error,
    forge::Shared,
    installations::{self, Objection, Wish},
    users::Credentials,
};

impl From<Objection> for Refusal {
    fn from(objection: Objection) -> Self {
        match objection {
            Objection::NotFound => Self::not_found(),
            Objection::Unprocessable(words) => Self::unsupported(words),
            Objection::Broken(error) => error.into(),
        }
    }
}

/// Asks for no credential: the code is one.
pub(crate) async fn convert(State(shared): State<Arc<Shared>>, Path(code): Path<String>) -> Result<Response, Refusal> {
    let app = installations::convert(&shared, &code).await?;
    Ok((StatusCode::CREATED, Json(app)).into_response())
}

pub(crate) async fn app(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Value>, Refusal> {
    Ok(Json(installations::app_shown(&shared, &caller.app()?)))
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    paging: Paging,
) -> Result<Response, Refusal> {
    let app = caller.app()?;
    let all = installations::of(&shared, app.id).await;
    let shown = all.iter().map(|one| installations::installation_shown(&shared, &app, one)).collect();
    Ok(paging.answer(&shared, shown))
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let app = caller.app()?;
    let id = parse(&id)?;
    let found = installations::of(&shared, app.id).await.into_iter().find(|one| one.id == id);
    Ok(Json(installations::installation_shown(&shared, &app, &found.ok_or_else(Refusal::not_found)?)))
}

pub(crate) async fn of_repository(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let app = caller.app()?;
    let entry = shared.repositories.find(&owner, &name).await.ok_or_else(Refusal::not_found)?;
    let reaches = |one: &crate::state::InstallationRecord| {
        one.owner.eq_ignore_ascii_case(&entry.owner())
            && one.repositories.as_ref().is_none_or(|ids| ids.contains(&entry.id))
    };
    let found = installations::of(&shared, app.id).await.into_iter().find(reaches);
    Ok(Json(installations::installation_shown(&shared, &app, &found.ok_or_else(Refusal::not_found)?)))
}

pub(crate) async fn mint(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let app = caller.app()?;
    let fields = Fields::parse(&body)?;
    let wrong = |name: &str| Refusal::invalid_request(&format!("For 'properties/{name}', another type is expected."));
    let object = |name: &'static str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|_| wrong(name)),
    };
    let ids = match fields.get("repository_ids") {
        None | Some(Value::Null) => None,
        Some(value) => Some(serde_json::from_value(value.clone()).map_err(|_| wrong("repository_ids"))?),
    };
    let wish = Wish { ids, names: fields.texts("repositories")?, permissions: object("permissions")? };
    let token = installations::mint(&shared, &app, parse(&id)?, wish).await?;
    Ok((StatusCode::CREATED, Json(token)).into_response())
}

/// Ends the token that asks for it.
pub(crate) async fn revoke(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    caller.actor()?;
    let Credentials::Other(token) = shared.users.by_bearer(&headers) else { return Err(Refusal::not_accessible()) };
    let ended = shared.state.change(|state| {
        state.tokens.retain(|known| known.token != token);
        Ok::<_, Error>(())
    });
    ended.await?;
    Ok(StatusCode::NO_CONTENT)
}
