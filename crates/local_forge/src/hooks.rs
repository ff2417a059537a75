//! Validates webhooks and selects the recipients of events. A delivery is always JSON.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    Error,
    deliveries::NewDelivery,
    forge_state::Shared,
    render,
    repositories::RepositoryEntry,
    sending,
    state::{ApiKind, HookRecord, TargetKind},
};

pub struct Event {
    pub api: ApiKind,
    pub name: &'static str,
    pub payload: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub api: ApiKind,
    pub kind: TargetKind,
    pub id: u64,
}

#[derive(Default)]
pub struct Settings {
    pub description: Option<String>,
    pub url: Option<String>,
    pub secret: Option<Option<String>>,
    pub content_type: Option<String>,
    pub insecure_ssl: Option<String>,
    pub events: Option<Vec<String>>,
    pub active: Option<bool>,
}

pub enum Rejection {
    Invalid(&'static str, String),
    Exists,
    NotFound,
    Internal(Error),
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self::Internal(error)
    }
}

fn validate(hook: &HookRecord) -> Result<(), Rejection> {
    let is_http = reqwest::Url::parse(&hook.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_http { Ok(()) } else { Err(Rejection::Invalid("url", "url must be an http or https address".to_owned())) }
}

fn apply(hook: HookRecord, settings: Settings) -> HookRecord {
    HookRecord {
        description: settings.description.or(hook.description),
        url: settings.url.unwrap_or(hook.url),
        secret: settings.secret.unwrap_or(hook.secret),
        content_type: settings.content_type.unwrap_or(hook.content_type),
        insecure_ssl: settings.insecure_ssl.unwrap_or(hook.insecure_ssl),
        events: settings.events.unwrap_or(hook.events),
        active: settings.active.unwrap_or(hook.active),
        ..hook
    }
}

/// Creates a hook and, on GitHub, pings it.
/// Writes: the forge's record, on GitHub only if no hook of the target has the same URL and a common event.
pub async fn create(shared: &Arc<Shared>, target: Target, settings: Settings) -> Result<HookRecord, Rejection> {
    let hook = HookRecord {
        id: shared.ids.next()?,
        face: target.api,
        kind: target.kind,
        target: target.id,
        active: true,
        events: vec!["push".to_owned()],
        description: None,
        url: String::new(),
        secret: None,
        content_type: "json".to_owned(),
        insecure_ssl: "0".to_owned(),
    };
    let hook = apply(hook, settings);
    validate(&hook)?;
    let added = hook.clone();
    let update = shared.state.update(|state| {
        let is_duplicate = |existing: &HookRecord| {
            belongs_to(existing, target)
                && existing.url == added.url
                && existing.events.iter().any(|event| added.events.contains(event))
        };
        // Bitbucket accepts a duplicate and calls both.
        if target.api == ApiKind::GitHub && state.hooks.iter().any(is_duplicate) {
            return Err(Rejection::Exists);
        }
        state.hooks.push(added);
        Ok(())
    });
    update.await?;
    if target.api == ApiKind::GitHub {
        let payload = json!({
            "zen": "Keep it logically awesome.",
            "hook_id": hook.id,
            "hook": render(&hook),
        });
        sending::send(shared, hook.clone(), NewDelivery { guid: new_guid(), event: "ping", payload })?;
    }
    Ok(hook)
}

pub async fn update(
    shared: &Arc<Shared>,
    target: Target,
    id: u64,
    settings: Settings,
) -> Result<HookRecord, Rejection> {
    let changed = shared.state.update(|state| {
        let hook = state.hooks.iter_mut().find(|hook| belongs_to(hook, target) && hook.id == id);
        let hook = hook.ok_or(Rejection::NotFound)?;
        *hook = apply(hook.clone(), settings);
        validate(hook)?;
        Ok(hook.clone())
    });
    changed.await
}

pub async fn delete(shared: &Shared, target: Target, id: u64) -> Result<(), Rejection> {
    let deletion = shared.state.update(|state| {
        let before = state.hooks.len();
        state.hooks.retain(|hook| !(belongs_to(hook, target) && hook.id == id));
        if state.hooks.len() == before { Err(Rejection::NotFound) } else { Ok(()) }
    });
    deletion.await?;
    shared.deliveries.delete(id);
    Ok(())
}

pub async fn list(shared: &Shared, target: Target) -> Vec<HookRecord> {
    shared.state.read(|state| state.hooks.iter().filter(|hook| belongs_to(hook, target)).cloned().collect()).await
}

pub async fn find(shared: &Shared, target: Target, id: u64) -> Result<HookRecord, Rejection> {
    list(shared, target).await.into_iter().find(|hook| hook.id == id).ok_or(Rejection::NotFound)
}

fn belongs_to(hook: &HookRecord, target: Target) -> bool {
    (hook.face, hook.kind, hook.target) == (target.api, target.kind, target.id)
}

type Recipient = (HookRecord, Option<u64>);

async fn recipients(shared: &Shared, entry: &RepositoryEntry, (face, event): (ApiKind, &str)) -> Vec<Recipient> {
    let organization = render::owner(shared, &entry.owner).id;
    let matches = |hook: &&HookRecord| {
        hook.face == face && hook.active && hook.events.iter().any(|filter| filter == "*" || filter == event)
    };
    let hooks: Vec<HookRecord> = shared.state.read(|state| state.hooks.iter().filter(matches).cloned().collect()).await;
    let mut recipients = Vec::new();
    for hook in hooks {
        let installation = match hook.kind {
            TargetKind::Repository if hook.target == entry.id => None,
            TargetKind::Organization if hook.target == organization => None,
            TargetKind::Integration => match shared.extension.installation(shared, hook.target, entry).await {
                Some(installation) => Some(installation),
                None => continue,
            },
            _ => continue,
        };
        recipients.push((hook, installation));
    }
    recipients
}

pub async fn has_recipients(shared: &Shared, entry: &RepositoryEntry, event: (ApiKind, &str)) -> bool {
    !recipients(shared, entry, event).await.is_empty()
}

pub async fn dispatch(shared: &Arc<Shared>, entry: &RepositoryEntry, event: Event) {
    for (hook, installation) in recipients(shared, entry, (event.api, event.name)).await {
        let mut payload = event.payload.clone();
        if let (Some(id), Value::Object(fields)) = (installation, &mut payload) {
            fields.insert("installation".to_owned(), render::installation_stub(id));
        }
        let delivery = NewDelivery { guid: new_guid(), event: event.name, payload };
        if let Err(error) = sending::send(shared, hook, delivery) {
            tracing::warn!(error = %error, "event not delivered: failed to {error}");
        }
    }
}

fn new_guid() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

pub fn render(hook: &HookRecord) -> Value {
    json!({ "id": hook.id, "name": "web", "active": hook.active, "events": hook.events, "config": render_config(hook) })
}

pub fn render_config(hook: &HookRecord) -> Value {
    let mut config = json!({ "url": hook.url, "content_type": hook.content_type, "insecure_ssl": hook.insecure_ssl });
    if hook.secret.is_some() {
        config["secret"] = json!("********");
    }
    config
}
