//! GitHub Apps: conversion of a manifest, the App itself, its installations and their tokens.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use pullyard_local_forge::Error;
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::hooks;
use pullyard_local_forge::rest::body;
use pullyard_local_forge::rest::caller::Caller;
use pullyard_local_forge::rest::hooks::{HookConfig, HookPath, deliveries};
use pullyard_local_forge::rest::refusal::ApiError;
use pullyard_local_forge::users::Credentials;
use serde_json::Value;

use super::installations;
use super::installations::{Rejection, TokenRequest};
use super::{find, records};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/app-manifests/{code}/conversions", post(convert))
        .route("/app", get(app))
        .route("/app/installations/{id}/access_tokens", post(mint))
        .route("/repos/{owner}/{name}/installation", get(repository_installation))
        .route("/installation/token", axum::routing::delete(revoke))
        .route("/app/hook/config", get(config).patch(change_config))
        .route("/app/hook/deliveries", get(deliveries))
}

fn parse(id: &str) -> Result<u64, ApiError> {
    id.parse().map_err(|_| ApiError::not_found())
}

impl From<Rejection> for ApiError {
    fn from(objection: Rejection) -> Self {
        match objection {
            Rejection::NotFound => Self::not_found(),
            Rejection::Unprocessable(message) => Self::unsupported(message),
            Rejection::Failed(error) => error.into(),
        }
    }
}

/// Needs no credential except the code.
async fn convert(State(shared): State<Arc<Shared>>, Path(code): Path<String>) -> Result<Response, ApiError> {
    let app = installations::convert_manifest(&shared, &code).await?;
    Ok((StatusCode::CREATED, Json(app)).into_response())
}

async fn app(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Value>, ApiError> {
    let app = find(&shared, caller.app()?).await?;
    Ok(Json(installations::app_json(&shared, &app)))
}

async fn repository_installation(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let app = find(&shared, caller.app()?).await?;
    let entry = shared.repositories.find(&owner, &name).await.ok_or_else(ApiError::not_found)?;
    let all = installations::installations_of(&shared, app.id).await;
    let found = all.into_iter().find(|installation| installation.includes_repository(&entry));
    Ok(Json(installations::installation_json(&shared, &app, &found.ok_or_else(ApiError::not_found)?)))
}

async fn mint(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let app = find(&shared, caller.app()?).await?;
    let wish: TokenRequest = body::parse(&body)?;
    let token = installations::create_token(&shared, &app, parse(&id)?, wish).await?;
    Ok((StatusCode::CREATED, Json(token)).into_response())
}

async fn revoke(State(shared): State<Arc<Shared>>, caller: Caller, headers: HeaderMap) -> Result<StatusCode, ApiError> {
    caller.actor()?;
    let Credentials::UnknownToken(token) = shared.users.authenticate_bearer(&headers) else {
        return Err(ApiError::not_accessible());
    };
    let ended = records(&shared).await?.update(|state| {
        state.tokens.retain(|known| known.token != token);
        Ok::<_, Error>(())
    });
    ended.await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn config(State(shared): State<Arc<Shared>>, place: HookPath) -> Result<Json<Value>, ApiError> {
    Ok(Json(hooks::render_config(&place.hook(&shared).await?)))
}

async fn change_config(
    State(shared): State<Arc<Shared>>,
    place: HookPath,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let config: HookConfig = body::parse(&body)?;
    let hook = hooks::update(&shared, place.target, place.hook.unwrap_or(0), config.into()).await?;
    Ok(Json(hooks::render_config(&hook)))
}
