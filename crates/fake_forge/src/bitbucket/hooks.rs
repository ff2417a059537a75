//! Routes of the webhooks of a repository or a workspace. Bitbucket has no routes for deliveries or test calls.

use std::{collections::BTreeMap, sync::Arc};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{body, caller::Caller, paging::Paging, refusal::Refusal, uuid};
use pullyard_local_forge::access::{AccessDecision, Requirement};
use pullyard_local_forge::deliveries::{DeliveryHeaders, NewDelivery};
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::hooks;
use pullyard_local_forge::hooks::{Settings, Target};
use pullyard_local_forge::render::owner;
use pullyard_local_forge::state::{ApiKind, HookRecord, TargetKind};
use pullyard_local_forge::users::Account;

/// The events that the forge accepts. It sends no `repo:push`: a push appears as a pull request update.
const EVENTS: &[&str] = &[
    "pullrequest:approved",
    "pullrequest:changes_request_created",
    "pullrequest:changes_request_removed",
    "pullrequest:comment_created",
    "pullrequest:comment_updated",
    "pullrequest:created",
    "pullrequest:fulfilled",
    "pullrequest:push",
    "pullrequest:rejected",
    "pullrequest:unapproved",
    "pullrequest:updated",
    "repo:deleted",
    "repo:push",
    "repo:transfer",
    "repo:updated",
];

const MAX_SECRET_CHARACTERS: usize = 128;

/// The repository or workspace of a hook request, after authorization.
pub(super) struct HookScope {
    target: Target,
    /// The hook's UUID in the path.
    uid: Option<String>,
}

impl FromRequestParts<Arc<Shared>> for HookScope {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        let caller = Caller::from_request_parts(parts, shared).await?;
        let params = RawPathParams::from_request_parts(parts, shared).await.map_err(|_| Refusal::no_such_address())?;
        let mut params: BTreeMap<String, String> =
            params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let need = match parts.method {
            Method::GET => Requirement::HOOKS_READ,
            Method::DELETE => Requirement::HOOKS_DELETE,
            _ => Requirement::HOOKS_WRITE,
        };
        let (uid, slug) = (params.remove("uid"), params.remove("slug"));
        let name = params.remove("workspace").unwrap_or_default();
        if let Some(slug) = slug {
            let (_, entry) = caller.repository(shared, (&name, &slug), need).await?;
            let target = Target { api: ApiKind::Bitbucket, kind: TargetKind::Repository, id: entry.id };
            return Ok(Self { target, uid });
        }
        let workspace = workspace(shared, caller, &name, need).await?;
        let target = Target { api: ApiKind::Bitbucket, kind: TargetKind::Organization, id: workspace.id };
        Ok(Self { target, uid })
    }
}

async fn workspace(shared: &Shared, caller: Caller, name: &str, need: Requirement) -> Result<Account, Refusal> {
    let actor = caller.actor()?;
    let all = shared.repositories.list().await;
    let own: Vec<_> = all.iter().filter(|entry| entry.owner.eq_ignore_ascii_case(name)).collect();
    let mut of = None;
    for entry in own {
        match actor.check(entry, need).await {
            AccessDecision::Yes => of = Some(owner(shared, &entry.owner)),
            AccessDecision::No => return Err(Refusal::missing_permission(need)),
            AccessDecision::Hidden => return Err(Refusal::no_workspace(name)),
        }
    }
    of.ok_or_else(|| Refusal::no_workspace(name))
}

impl HookScope {
    /// Finds the hook by UUID, with or without braces.
    async fn hook(&self, shared: &Shared) -> Result<HookRecord, Refusal> {
        let wanted = self.uid.as_deref().unwrap_or_default().trim_matches(['{', '}']).to_ascii_lowercase();
        let all = hooks::list(shared, self.target).await;
        let found = all.into_iter().find(|hook| uuid::of_hook(hook.id).trim_matches(['{', '}']) == wanted);
        found.ok_or_else(Refusal::no_hook)
    }
}

fn to_response(hook: &HookRecord) -> Value {
    json!({
        "type": "webhook_subscription",
        "uuid": uuid::of_hook(hook.id),
        "description": hook.description,
        "url": hook.url,
        "active": hook.active,
        "events": hook.events,
        "secret_set": hook.secret.is_some(),
        "skip_cert_verification": hook.insecure_ssl == "1",
    })
}

#[derive(Deserialize)]
struct HookBody {
    description: Option<String>,
    url: Option<String>,
    active: Option<bool>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    secret: Option<Option<String>>,
    events: Option<Vec<String>>,
    skip_cert_verification: Option<bool>,
}

/// Distinguishes null, which removes the secret, from an omitted field.
fn deserialize_nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

impl HookBody {
    fn settings(self) -> Result<Settings, Refusal> {
        if let Some(Some(secret)) = &self.secret {
            let length = secret.chars().count();
            if length == 0 || length > MAX_SECRET_CHARACTERS {
                let message = format!("must have between 1 and {MAX_SECRET_CHARACTERS} characters");
                return Err(Refusal::field("secret", &message));
            }
        }
        if self.events.as_ref().is_some_and(Vec::is_empty) {
            return Err(Refusal::field("events", "at least one event is required"));
        }
        let unknown = self.events.iter().flatten().find(|event| !EVENTS.contains(&event.as_str()));
        if let Some(event) = unknown {
            return Err(Refusal::field("events", &format!("The event {event:?} is not known")));
        }
        Ok(Settings {
            description: self.description,
            url: self.url,
            secret: self.secret,
            content_type: Some("json".to_owned()),
            insecure_ssl: self.skip_cert_verification.map(|skip| u8::from(skip).to_string()),
            events: self.events,
            active: self.active,
        })
    }
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    place: HookScope,
    paging: Paging,
) -> Result<Json<Value>, Refusal> {
    let all = hooks::list(&shared, place.target).await;
    Ok(paging.answer(&shared, all.iter().map(to_response).collect()))
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    place: HookScope,
    body: Bytes,
) -> Result<Response, Refusal> {
    let payload: HookBody = body::parse(&body)?;
    if payload.url.is_none() {
        return Err(Refusal::missing("url"));
    }
    if payload.events.is_none() {
        return Err(Refusal::missing("events"));
    }
    let hook = hooks::create(&shared, place.target, payload.settings()?).await?;
    Ok((StatusCode::CREATED, Json(to_response(&hook))).into_response())
}

pub(super) async fn show(State(shared): State<Arc<Shared>>, place: HookScope) -> Result<Json<Value>, Refusal> {
    Ok(Json(to_response(&place.hook(&shared).await?)))
}

pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    place: HookScope,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let id = place.hook(&shared).await?.id;
    let settings = body::parse::<HookBody>(&body)?.settings()?;
    Ok(Json(to_response(&hooks::update(&shared, place.target, id, settings).await?)))
}

pub(super) async fn delete(State(shared): State<Arc<Shared>>, place: HookScope) -> Result<StatusCode, Refusal> {
    let id = place.hook(&shared).await?.id;
    hooks::delete(&shared, place.target, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Always attempt 1. Bitbucket retries a failed delivery twice; the forge does not.
pub(crate) fn delivery_headers(hook: &HookRecord, parcel: &NewDelivery) -> DeliveryHeaders {
    let headers = BTreeMap::from([
        ("Accept", "*/*".to_owned()),
        ("Content-Type", "application/json".to_owned()),
        ("User-Agent", "Bitbucket-Webhooks/2.0".to_owned()),
        ("X-Attempt-Number", "1".to_owned()),
        ("X-Event-Key", parcel.event.to_owned()),
        ("X-Hook-UUID", uuid::of_hook(hook.id).trim_matches(['{', '}']).to_owned()),
        ("X-Request-UUID", parcel.guid.clone()),
    ]);
    DeliveryHeaders { headers, signature: "X-Hub-Signature" }
}
