//! Validates webhooks and selects the recipients of events.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    Error,
    deliveries::{DeliveryRecord, NewDelivery},
    forge_state::Shared,
    render,
    repositories::RepositoryEntry,
    sending,
    state::{ApiKind, HookRecord, TargetKind},
};

/// GitHub supports more events, and refuses unknown ones.
const EVENTS: &[&str] = &[
    "*",
    "check_run",
    "installation",
    "installation_repositories",
    "issue_comment",
    "issues",
    "ping",
    "projects_v2_item",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
    "push",
    "repository",
    "status",
];

pub struct Event {
    pub api: ApiKind,
    pub name: &'static str,
    pub action: Option<String>,
    pub repository: Option<u64>,
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
    pub add_events: Vec<String>,
    pub remove_events: Vec<String>,
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
    if !is_http {
        return Err(Rejection::Invalid("url", "url must be an http or https address".to_owned()));
    }
    if !matches!(hook.content_type.as_str(), "json" | "form") {
        return Err(Rejection::Invalid("content_type", "content_type is json or form".to_owned()));
    }
    match hook.events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
        // Extensions validate the events of their own hooks.
        Some(event) if hook.face == ApiKind::GitHub => {
            Err(Rejection::Invalid("events", format!("The event {event:?} is not known")))
        }
        _ => Ok(()),
    }
}

fn apply(hook: &mut HookRecord, settings: Settings) {
    let Settings { description, url, secret, content_type, insecure_ssl, events, add_events, remove_events, active } =
        settings;
    hook.description = description.or_else(|| hook.description.clone());
    hook.url = url.unwrap_or_else(|| hook.url.clone());
    hook.secret = secret.unwrap_or_else(|| hook.secret.clone());
    hook.content_type = content_type.unwrap_or_else(|| hook.content_type.clone());
    hook.insecure_ssl = insecure_ssl.unwrap_or_else(|| hook.insecure_ssl.clone());
    hook.events = events.unwrap_or_else(|| hook.events.clone());
    hook.events.extend(add_events);
    hook.events.retain(|event| !remove_events.contains(event));
    hook.events.sort();
    hook.events.dedup();
    hook.active = active.unwrap_or(hook.active);
}

/// Creates a hook and, on GitHub, pings it.
/// Writes: the forge's record, on GitHub only if no hook of the target has the same URL and a common event.
pub async fn create(shared: &Arc<Shared>, target: Target, settings: Settings) -> Result<HookRecord, Rejection> {
    if settings.url.is_none() {
        return Err(Rejection::Invalid("url", "url wasn't supplied".to_owned()));
    }
    let now = shared.clock.now();
    let mut hook = HookRecord {
        id: shared.ids.next()?,
        face: target.api,
        kind: target.kind,
        target: target.id,
        active: true,
        events: vec!["push".to_owned()],
        description: None,
        url: String::new(),
        secret: None,
        content_type: "form".to_owned(),
        insecure_ssl: "0".to_owned(),
        created_at: now.clone(),
        updated_at: now,
    };
    apply(&mut hook, settings);
    validate(&hook)?;
    let added = hook.clone();
    let stored = shared.state.update(|state| {
        let twin = |existing: &HookRecord| {
            belongs_to(existing, target)
                && existing.url == added.url
                && existing.events.iter().any(|event| added.events.contains(event))
        };
        // Bitbucket accepts a duplicate and calls both.
        if target.api == ApiKind::GitHub && state.hooks.iter().any(twin) {
            return Err(Rejection::Exists);
        }
        state.hooks.push(added);
        Ok(())
    });
    stored.await?;
    if target.api == ApiKind::GitHub {
        ping(shared, &hook).await?;
    }
    Ok(hook)
}

pub async fn update(
    shared: &Arc<Shared>,
    target: Target,
    id: u64,
    settings: Settings,
) -> Result<HookRecord, Rejection> {
    let now = shared.clock.now();
    let changed = shared.state.update(|state| {
        let hook = state.hooks.iter_mut().find(|hook| belongs_to(hook, target) && hook.id == id);
        let hook = hook.ok_or(Rejection::NotFound)?;
        apply(hook, settings);
        hook.updated_at = now;
        validate(hook)?;
        Ok(hook.clone())
    });
    changed.await
}

pub async fn delete(shared: &Shared, target: Target, id: u64) -> Result<(), Rejection> {
    let gone = shared.state.update(|state| {
        let before = state.hooks.len();
        state.hooks.retain(|hook| !(belongs_to(hook, target) && hook.id == id));
        if state.hooks.len() == before { Err(Rejection::NotFound) } else { Ok(()) }
    });
    gone.await?;
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

pub async fn ping(shared: &Arc<Shared>, hook: &HookRecord) -> Result<(), Error> {
    let mut payload = json!({
        "zen": "Keep it logically awesome.",
        "hook_id": hook.id,
        "hook": render(shared, hook).await,
    });
    let mut repository = None;
    if hook.kind == TargetKind::Repository
        && let Some(entry) = shared.repositories.by_id(hook.target).await
    {
        payload["repository"] = render::repository(shared, &entry);
        repository = Some(entry.id);
    }
    let parcel = NewDelivery {
        guid: new_guid(),
        redelivery: false,
        event: "ping".to_owned(),
        action: None,
        installation: None,
        repository,
        payload,
    };
    sending::send(shared, hook.clone(), parcel)
}

pub fn redeliver(shared: &Arc<Shared>, hook: &HookRecord, earlier: &DeliveryRecord) -> Result<(), Error> {
    let parcel = NewDelivery {
        guid: earlier.guid.clone(),
        redelivery: true,
        event: earlier.event.clone(),
        action: earlier.action.clone(),
        installation: earlier.installation,
        repository: earlier.repository,
        payload: earlier.payload.clone(),
    };
    sending::send(shared, hook.clone(), parcel)
}

type Recipient = (HookRecord, Option<u64>);

async fn recipients(shared: &Shared, entry: &RepositoryEntry, (face, event): (ApiKind, &str)) -> Vec<Recipient> {
    let organization = render::owner(shared, &entry.owner()).id;
    let wants = |hook: &&HookRecord| {
        hook.face == face && hook.active && hook.events.iter().any(|filter| filter == "*" || filter == event)
    };
    let wanting: Vec<HookRecord> = shared.state.read(|state| state.hooks.iter().filter(wants).cloned().collect()).await;
    let mut recipients = Vec::new();
    for hook in wanting {
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
        let parcel = NewDelivery {
            guid: new_guid(),
            redelivery: false,
            event: event.name.to_owned(),
            action: event.action.clone(),
            installation,
            repository: event.repository,
            payload,
        };
        if let Err(error) = sending::send(shared, hook, parcel) {
            tracing::warn!(error = %error, "event not delivered: failed to {error}");
        }
    }
}

fn new_guid() -> String {
    let random = (rand::random::<u128>() & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{random:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().to_owned();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

pub async fn render(shared: &Shared, hook: &HookRecord) -> Value {
    let newest = shared.deliveries.list(hook.id, shared.clock.unix_secs()).into_iter().next();
    let last = match newest {
        None => json!({ "code": null, "status": "unused", "message": null }),
        Some(newest) if newest.status == "OK" => {
            json!({ "code": newest.status_code, "status": "active", "message": "OK" })
        }
        Some(newest) => {
            let code = (newest.status_code != 0).then_some(newest.status_code);
            let status = if code.is_none() { "timeout" } else { "misconfigured" };
            json!({ "code": code, "status": status, "message": newest.status })
        }
    };
    let config = render_config(hook);
    let base = hook_url(shared, hook).await;
    let mut answer = json!({
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": hook.events,
        "config": config,
        "created_at": hook.created_at,
        "updated_at": hook.updated_at,
        "url": base,
        "ping_url": format!("{base}/pings"),
        "deliveries_url": format!("{base}/deliveries"),
        "type": match hook.kind {
            TargetKind::Repository => "Repository",
            TargetKind::Organization => "Organization",
            TargetKind::Integration => "App",
        },
    });
    if hook.kind == TargetKind::Repository {
        answer["test_url"] = json!(format!("{base}/test"));
        answer["last_response"] = last;
    }
    if hook.kind == TargetKind::Integration {
        answer["app_id"] = json!(hook.target);
    }
    answer
}

pub fn render_config(hook: &HookRecord) -> Value {
    let mut config = json!({ "url": hook.url, "content_type": hook.content_type, "insecure_ssl": hook.insecure_ssl });
    if hook.secret.is_some() {
        config["secret"] = json!("********");
    }
    config
}

async fn hook_url(shared: &Shared, hook: &HookRecord) -> String {
    let api = format!("{}/api/v3", shared.url);
    match hook.kind {
        TargetKind::Repository => match shared.repositories.by_id(hook.target).await {
            Some(entry) => format!("{api}/repos/{}/hooks/{}", entry.full_name(), hook.id),
            None => format!("{api}/repositories/{}/hooks/{}", hook.target, hook.id),
        },
        TargetKind::Organization => {
            let all = shared.repositories.list().await;
            let owner =
                all.iter().map(|entry| entry.owner()).find(|owner| render::owner(shared, owner).id == hook.target);
            format!("{api}/orgs/{}/hooks/{}", owner.unwrap_or_default(), hook.id)
        }
        TargetKind::Integration => format!("{api}/app/hook"),
    }
}
