//! Creates GitHub Apps from manifests, installs them, and issues installation tokens.

use std::{collections::BTreeMap, sync::Arc};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use pullyard_local_forge::access::Level;
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::hooks;
use pullyard_local_forge::hooks::{Settings, Target};
use pullyard_local_forge::state::{ApiKind, TargetKind};
use pullyard_local_forge::users::{AccountKind, Member, MemberScope, User};
use pullyard_local_forge::{Error, clock, render};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AppRecord, CodeRecord, Grant, InstallationRecord, TokenRecord, records};

const CODE_SECS: i64 = 60 * 60;
const TOKEN_SECS: i64 = 60 * 60;
const MAX_REPOSITORIES: usize = 500;
/// Size of the PKCS #8 header before the PKCS #1 key, for 2048 bits.
const PKCS8_HEADER_BYTES: usize = 26;

/// A refusal, with GitHub's message.
pub(crate) enum Rejection {
    NotFound,
    Unprocessable(String),
    Failed(Error),
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn unprocessable<T>(message: &str) -> Result<T, Rejection> {
    Err(Rejection::Unprocessable(message.to_owned()))
}

fn random_base64(bytes: usize) -> String {
    let random: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
    BASE64_URL_SAFE_NO_PAD.encode(random)
}

fn random_hex(bytes: usize) -> String {
    let random: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
    data_encoding::HEXLOWER.encode(&random)
}

pub(crate) async fn store_manifest(shared: &Shared, manifest: Value, owner: &str) -> Result<String, Error> {
    let code = random_hex(20);
    let now = shared.clock.unix_secs();
    let record = CodeRecord { manifest, owner: owner.to_owned(), expires_at: now + CODE_SECS };
    let update = records(shared).await?.update(|state| {
        state.codes.retain(|_, known| known.expires_at > now);
        state.codes.insert(code.clone(), record);
        Ok(())
    });
    update.await?;
    Ok(code)
}

/// Creates an App from the manifest stored under a code. Only this response contains the App's secrets.
/// Writes: the App; removes the code.
pub(crate) async fn convert_manifest(shared: &Arc<Shared>, code: &str) -> Result<Value, Rejection> {
    let (id, bot_id, now) = (small_id(), shared.ids.next()?, shared.clock.unix_secs());
    let (public_key, pem) = key_pair()?;
    let client_id = format!("Iv23li{}", random_hex(7));
    let creation = records(shared).await?.update(|state| {
        let code = state.codes.remove(code).filter(|code| code.expires_at > now).ok_or(Rejection::NotFound)?;
        let text = |name: &str| code.manifest.get(name).and_then(Value::as_str).map(str::to_owned);
        let name = text("name").unwrap_or_else(|| "app".to_owned());
        let slug = slug(&name);
        if state.apps.iter().any(|known| known.slug == slug) {
            return unprocessable("Name is already taken");
        }
        let permissions = code.manifest.get("default_permissions").cloned().unwrap_or_else(|| json!({}));
        let app = AppRecord {
            id,
            slug: slug.clone(),
            name,
            client_id,
            bot_id,
            owner: code.owner,
            public_key,
            permissions: serde_json::from_value(permissions).unwrap_or_default(),
            events: strings(code.manifest.get("default_events")),
        };
        let bot = User { login: format!("{slug}[bot]"), id: bot_id, token: String::new() };
        let bot = Member { user: bot, kind: AccountKind::Bot, reach: MemberScope::ByRole };
        state.apps.push(app.clone());
        Ok((app, bot, code.manifest))
    });
    let (app, bot, manifest) = creation.await?;
    shared.put_member(bot).await?;
    let webhook_secret = random_hex(20);
    let hook = manifest.get("hook_attributes");
    if let Some(url) = hook.and_then(|hook| hook.get("url")).and_then(Value::as_str) {
        let settings = Settings {
            url: Some(url.to_owned()),
            secret: Some(Some(webhook_secret.clone())),
            content_type: Some("json".to_owned()),
            events: Some(app.events.clone()),
            active: hook.and_then(|hook| hook.get("active")).and_then(Value::as_bool),
            ..Settings::default()
        };
        let target = Target { api: ApiKind::GitHub, kind: TargetKind::Integration, id: app.id };
        // Invalid webhook settings do not fail the request: the App is already stored, and its code is used up.
        if let Err(hooks::Rejection::Internal(error)) = hooks::create(shared, target, settings).await {
            return Err(error.into());
        }
    }
    let mut response = app_json(shared, &app);
    response["client_secret"] = json!(random_hex(20));
    response["webhook_secret"] = json!(webhook_secret);
    response["pem"] = json!(pem);
    Ok(response)
}

/// Short as on GitHub, because the id is part of each token.
fn small_id() -> u64 {
    1_000_000 + u64::from(rand::random::<u32>() % 8_000_000)
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn slug(name: &str) -> String {
    let dashed: String = name
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' })
        .collect();
    let slug = dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    if slug.is_empty() { "app".to_owned() } else { slug }
}

fn key_pair() -> Result<(Vec<u8>, String), Error> {
    let failed = |_| key_missing();
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(failed)?;
    let pkcs1 = pkcs8.as_ref().get(PKCS8_HEADER_BYTES..).ok_or_else(key_missing)?;
    let text = BASE64_STANDARD.encode(pkcs1);
    let mut pem = "-----BEGIN RSA PRIVATE KEY-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END RSA PRIVATE KEY-----\n");
    Ok((pair.public_key().as_ref().to_vec(), pem))
}

fn key_missing() -> Error {
    Error::Refused { what: "make a key pair", reason: "the crypto library failed".to_owned() }
}

/// Installs an App for the given repositories of an owner, or for all. Only tests install Apps, with `install_app`.
/// Idempotent: by App and owner; a repeated call replaces the repositories.
pub(crate) async fn install(
    shared: &Shared,
    slug: &str,
    owner: &str,
    repositories: Option<Vec<u64>>,
) -> Result<u64, Rejection> {
    let id = shared.ids.next()?;
    let installation = records(shared).await?.update(|state| {
        let app = state.apps.iter().find(|app| app.slug == slug).ok_or(Rejection::NotFound)?.id;
        let same = |known: &&mut InstallationRecord| known.app == app && known.owner.eq_ignore_ascii_case(owner);
        if let Some(known) = state.installations.iter_mut().find(same) {
            known.repositories = repositories;
            return Ok(known.id);
        }
        let owner = owner.to_owned();
        state.installations.push(InstallationRecord { id, app, owner, repositories });
        Ok(id)
    });
    installation.await
}

pub(crate) async fn installations_of(shared: &Shared, app: u64) -> Vec<InstallationRecord> {
    let Ok(records) = records(shared).await else { return Vec::new() };
    records.read(|state| state.installations.iter().filter(|known| known.app == app).cloned().collect()).await
}

/// The requested scope of a token. `None` requests everything that was granted.
#[derive(Default, Deserialize)]
pub(crate) struct TokenRequest {
    #[serde(rename = "repository_ids")]
    pub(crate) ids: Option<Vec<u64>>,
    #[serde(rename = "repositories")]
    pub(crate) names: Option<Vec<String>>,
    pub(crate) permissions: Option<BTreeMap<String, String>>,
}

/// Issues a token that expires after one hour and has only the requested repositories and permissions.
pub(crate) async fn create_token(
    shared: &Shared,
    app: &AppRecord,
    id: u64,
    request: TokenRequest,
) -> Result<Value, Rejection> {
    let installation =
        installations_of(shared, app.id).await.into_iter().find(|known| known.id == id).ok_or(Rejection::NotFound)?;
    let permissions = request.permissions.unwrap_or_else(|| app.permissions.clone());
    let full_grant = Grant {
        installation: id,
        owner: installation.owner.clone(),
        repositories: installation.repositories.clone(),
        permissions: app.permissions.clone(),
    };
    let exceeds = |(name, level): (&String, &String)| {
        let level = if level == "read" { Level::Read } else { Level::Write };
        !full_grant.has_permission(name, level)
    };
    if permissions.iter().any(exceeds) {
        return unprocessable("The permissions requested are not granted to this installation.");
    }
    let mut accessible = Vec::new();
    for entry in shared.repositories.list().await {
        if installation.includes_repository(&entry) {
            accessible.push(entry);
        }
    }
    let repositories = match (request.ids, request.names) {
        (None, None) => None,
        (ids, names) => {
            let names = names.unwrap_or_default();
            let mut requested = ids.unwrap_or_default();
            for name in &names {
                // No repository has the id 0, so the check below rejects an unknown name.
                let known = accessible.iter().find(|entry| entry.name.eq_ignore_ascii_case(name));
                requested.push(known.map_or(0, |entry| entry.id));
            }
            if requested.len() > MAX_REPOSITORIES || requested.is_empty() {
                return unprocessable("Between 1 and 500 repositories may be named.");
            }
            if requested.iter().any(|id| accessible.iter().all(|entry| entry.id != *id)) {
                return unprocessable(
                    "There is at least one repository that does not exist or is not accessible to the parent installation.",
                );
            }
            Some(requested)
        }
    };
    let repositories_json: Option<Vec<Value>> = repositories.as_ref().map(|requested| {
        accessible
            .iter()
            .filter(|entry| requested.contains(&entry.id))
            .map(|entry| render::repository(shared, entry))
            .collect()
    });
    let now = shared.clock.unix_secs();
    // As long as GitHub's present tokens, with dots and dashes.
    let token = format!(
        "ghs_{}_{}.{}-{}.{}",
        app.id,
        random_base64(27),
        random_base64(150),
        random_base64(16),
        random_base64(190)
    );
    let grant = Grant { repositories: repositories.or(installation.repositories), permissions, ..full_grant };
    let record = TokenRecord { token: token.clone(), app: app.id, grant: grant.clone(), expires_at: now + TOKEN_SECS };
    let update = records(shared).await?.update(|state| {
        state.tokens.retain(|known| known.expires_at > now);
        state.tokens.push(record);
        Ok::<_, Error>(())
    });
    update.await?;
    let mut response = json!({
        "token": token,
        "expires_at": clock::format_unix_secs(now + TOKEN_SECS),
        "permissions": grant.permissions,
        "repository_selection": if grant.repositories.is_some() { "selected" } else { "all" },
    });
    if let Some(repositories) = repositories_json {
        response["repositories"] = json!(repositories);
    }
    Ok(response)
}

pub(crate) fn app_json(shared: &Shared, app: &AppRecord) -> Value {
    json!({
        "id": app.id,
        "slug": app.slug,
        "client_id": app.client_id,
        "owner": render::account(shared, &render::owner(shared, &app.owner)),
        "name": app.name,
        "html_url": format!("{}/apps/{}", shared.url, app.slug),
        "permissions": app.permissions,
        "events": app.events,
    })
}

pub(crate) fn installation_json(shared: &Shared, app: &AppRecord, installation: &InstallationRecord) -> Value {
    json!({
        "id": installation.id,
        "html_url": format!("{}/settings/installations/{}", shared.url, installation.id),
        "app_id": app.id,
        "permissions": app.permissions,
        "suspended_at": null,
    })
}
