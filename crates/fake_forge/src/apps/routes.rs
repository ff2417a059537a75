//! GitHub Apps: conversion of a manifest, the App itself, its installations and their tokens.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use pullyard_demo_forge::{
    Error,
    hooks::{self, Settings},
    rest::{
        caller::Caller,
        fields::Fields,
        hooks::{Place, deliveries, insecure_ssl},
        refusal::Refusal,
    },
    shared::Shared,
    users::Credentials,
};
use serde_json::Value;

use super::{
    find,
    installations::{self, Objection, Wish},
    records,
};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/app-manifests/{code}/conversions", post(convert))
        .route("/app", get(app))
        .route("/app/installations/{id}/access_tokens", post(mint))
        .route("/repos/{owner}/{name}/installation", get(of_repository))
        .route("/installation/token", axum::routing::delete(revoke))
        .route("/app/hook/config", get(config).patch(change_config))
        .route("/app/hook/deliveries", get(deliveries))
}

fn parse(id: &str) -> Result<u64, Refusal> {
    id.parse().map_err(|_| Refusal::not_found())
}

impl From<Objection> for Refusal {
    fn from(objection: Objection) -> Self {
        match objection {
            Objection::NotFound => Self::not_found(),
            Objection::Unprocessable(words) => Self::unsupported(words),
            Objection::Broken(error) => error.into(),
        }
    }
}

/// Needs no credential except the code.
async fn convert(State(shared): State<Arc<Shared>>, Path(code): Path<String>) -> Result<Response, Refusal> {
    let app = installations::convert(&shared, &code).await?;
    Ok((StatusCode::CREATED, Json(app)).into_response())
}

async fn app(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Value>, Refusal> {
    let app = find(&shared, caller.app()?).await?;
    Ok(Json(installations::app_shown(&shared, &app)))
}

async fn of_repository(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let app = find(&shared, caller.app()?).await?;
    let entry = shared.repositories.find(&owner, &name).await.ok_or_else(Refusal::not_found)?;
    let found = installations::of(&shared, app.id).await.into_iter().find(|one| one.reaches(&entry));
    Ok(Json(installations::installation_shown(&shared, &app, &found.ok_or_else(Refusal::not_found)?)))
}

async fn mint(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let app = find(&shared, caller.app()?).await?;
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

/// Revokes the calling token.
async fn revoke(State(shared): State<Arc<Shared>>, caller: Caller, headers: HeaderMap) -> Result<StatusCode, Refusal> {
    caller.actor()?;
    let Credentials::Other(token) = shared.users.by_bearer(&headers) else { return Err(Refusal::not_accessible()) };
    let ended = records(&shared).await?.change(|state| {
        state.tokens.retain(|known| known.token != token);
        Ok::<_, Error>(())
    });
    ended.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The API shows and edits only the configuration of an App's hook.
async fn config(State(shared): State<Arc<Shared>>, place: Place) -> Result<Json<Value>, Refusal> {
    Ok(Json(hooks::config_shown(&place.hook(&shared).await?)))
}

/// Omitted fields keep their value, the secret too.
async fn change_config(State(shared): State<Arc<Shared>>, place: Place, body: Bytes) -> Result<Json<Value>, Refusal> {
    let fields = Fields::parse(&body)?;
    let settings = Settings {
        url: fields.text("url")?.flatten(),
        secret: fields.text("secret")?,
        content_type: fields.text("content_type")?.flatten(),
        insecure_ssl: insecure_ssl(&fields),
        ..Settings::default()
    };
    let hook = hooks::change(&shared, place.target, place.hook.unwrap_or(0), settings).await?;
    Ok(Json(hooks::config_shown(&hook)))
}
