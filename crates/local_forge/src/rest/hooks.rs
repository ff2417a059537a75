//! Routes for webhooks and their deliveries.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequestParts, RawPathParams, State},
    http::{Method, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, caller::Caller, paging::Paging, pull_requests::parse_number, refusal::ApiError};
use crate::{
    access::{AccessDecision, Requirement},
    deliveries::DeliveryRecord,
    forge_state::Shared,
    hooks::{self, Settings, Target},
    render,
    state::{ApiKind, HookRecord, TargetKind},
};

pub struct HookPath {
    pub target: Target,
    pub hook: Option<u64>,
}

impl FromRequestParts<Arc<Shared>> for HookPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        let caller = Caller::from_request_parts(parts, shared).await?;
        let params = RawPathParams::from_request_parts(parts, shared).await.map_err(|_| ApiError::not_found())?;
        let params: BTreeMap<String, String> =
            params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let hook = params.get("hook").map(|text| parse_number(text)).transpose()?;
        let need = if parts.method == Method::GET { Requirement::HOOKS_READ } else { Requirement::HOOKS_WRITE };
        let target = match (params.get("owner"), params.get("name"), params.get("org")) {
            (Some(owner), Some(name), _) => {
                let (_, entry) = caller.authorize(shared, (owner, name), need).await?;
                Target { api: ApiKind::GitHub, kind: TargetKind::Repository, id: entry.id }
            }
            (_, _, Some(org)) => organization(shared, caller, org, need).await?,
            _ => {
                let app = caller.app()?;
                let target = Target { api: ApiKind::GitHub, kind: TargetKind::Integration, id: app };
                let hook = hooks::list(shared, target).await.into_iter().next().ok_or_else(ApiError::not_found)?;
                return Ok(Self { target, hook: Some(hook.id) });
            }
        };
        Ok(Self { target, hook })
    }
}

async fn organization(shared: &Shared, caller: Caller, org: &str, need: Requirement) -> Result<Target, ApiError> {
    let actor = caller.actor()?;
    let all = shared.repositories.list().await;
    let repositories: Vec<_> = all.iter().filter(|entry| entry.owner.eq_ignore_ascii_case(org)).collect();
    for entry in &repositories {
        if actor.check(entry, need).await != AccessDecision::Yes {
            return Err(ApiError::not_found());
        }
    }
    if repositories.is_empty() || shared.users.by_login(org).is_some() {
        return Err(ApiError::not_found());
    }
    Ok(Target { api: ApiKind::GitHub, kind: TargetKind::Organization, id: render::owner(shared, org).id })
}

impl HookPath {
    pub async fn hook(&self, shared: &Shared) -> Result<HookRecord, ApiError> {
        Ok(hooks::find(shared, self.target, self.hook.unwrap_or(0)).await?)
    }
}

#[derive(Default, Deserialize)]
pub struct HookConfig {
    url: Option<String>,
    secret: Option<String>,
    content_type: Option<String>,
    /// `"1"` or `1`.
    insecure_ssl: Option<Value>,
}

impl From<HookConfig> for Settings {
    /// Omitted fields keep their value, the secret too.
    fn from(config: HookConfig) -> Self {
        let to_text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Self {
            url: config.url,
            secret: config.secret.map(Some),
            content_type: config.content_type,
            insecure_ssl: config.insecure_ssl.map(to_text),
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
struct HookBody {
    config: Option<HookConfig>,
    events: Option<Vec<String>>,
    active: Option<bool>,
}

fn parse_settings(body: &[u8]) -> Result<Settings, ApiError> {
    let HookBody { config, events, active } = body::parse(body)?;
    // As on GitHub, a configuration without a secret removes the secret.
    let secret = config.as_ref().map(|config| config.secret.clone());
    Ok(Settings { secret, events, active, ..config.unwrap_or_default().into() })
}

pub async fn list(State(shared): State<Arc<Shared>>, path: HookPath, paging: Paging) -> Result<Response, ApiError> {
    let hooks = hooks::list(&shared, path.target).await;
    Ok(paging.respond(&shared, hooks.iter().map(hooks::render).collect()))
}

pub async fn create(State(shared): State<Arc<Shared>>, path: HookPath, body: Bytes) -> Result<Response, ApiError> {
    let hook = hooks::create(&shared, path.target, parse_settings(&body)?).await?;
    Ok((StatusCode::CREATED, Json(hooks::render(&hook))).into_response())
}

pub async fn change(State(shared): State<Arc<Shared>>, path: HookPath, body: Bytes) -> Result<Json<Value>, ApiError> {
    let hook = hooks::update(&shared, path.target, path.hook.unwrap_or(0), parse_settings(&body)?).await?;
    Ok(Json(hooks::render(&hook)))
}

pub async fn delete(State(shared): State<Arc<Shared>>, path: HookPath) -> Result<StatusCode, ApiError> {
    hooks::delete(&shared, path.target, path.hook.unwrap_or(0)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn render_delivery(delivery: &DeliveryRecord) -> Value {
    json!({ "id": delivery.id, "event": delivery.event, "status": delivery.status, "status_code": delivery.status_code })
}

pub async fn deliveries(
    State(shared): State<Arc<Shared>>,
    path: HookPath,
    paging: Paging,
) -> Result<Response, ApiError> {
    let hook = path.hook(&shared).await?;
    Ok(paging.respond(&shared, shared.deliveries.list(hook.id).iter().map(render_delivery).collect()))
}
