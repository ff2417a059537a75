//! GitHub Apps: their records, and verification of their tokens and signed claims.

mod installations;
mod pages;
mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use pullyard_local_forge::Error;
use pullyard_local_forge::access::{AccessDecision, Actor, AppPermissions, Authority, Level, Requirement};
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::state::State;
use pullyard_local_forge::users::{Account, AccountKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::FakeForge;
use installations::Rejection;
pub(crate) use pages::routes as page_routes;
pub(crate) use routes::routes as rest_routes;

/// Tolerated clock skew of an issuer, and the longest lifetime of a claim.
const SKEW_SECS: i64 = 60;
const MAX_LIFE_SECS: i64 = 600;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct AppsRecord {
    pub(crate) apps: Vec<AppRecord>,
    pub(crate) installations: Vec<InstallationRecord>,
    pub(crate) tokens: Vec<TokenRecord>,
    pub(crate) codes: BTreeMap<String, CodeRecord>,
    /// Used `jti`s of App claims. Each is accepted once.
    pub(crate) used_claims: BTreeSet<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AppRecord {
    pub(crate) id: u64,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) client_id: String,
    pub(crate) bot_id: u64,
    pub(crate) owner: String,
    /// The public key as PKCS #1 DER; the private key is not stored.
    pub(crate) public_key: Vec<u8>,
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) events: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InstallationRecord {
    pub(crate) id: u64,
    pub(crate) app: u64,
    pub(crate) owner: String,
    /// `None` is every repository of the owner.
    pub(crate) repositories: Option<Vec<u64>>,
}

impl InstallationRecord {
    fn includes_repository(&self, entry: &RepositoryEntry) -> bool {
        includes(&self.owner, self.repositories.as_deref(), entry)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    pub(crate) token: String,
    pub(crate) app: u64,
    pub(crate) grant: Grant,
    pub(crate) expires_at: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CodeRecord {
    pub(crate) manifest: Value,
    pub(crate) owner: String,
    pub(crate) expires_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) installation: u64,
    pub(crate) owner: String,
    /// `None` is every repository of the owner.
    pub(crate) repositories: Option<Vec<u64>>,
    pub(crate) permissions: BTreeMap<String, String>,
}

impl Grant {
    pub(crate) fn has_permission(&self, permission: &str, level: Level) -> bool {
        // Every App may read the metadata of a repository.
        if permission == "metadata" {
            return level == Level::Read;
        }
        match self.permissions.get(permission).map(String::as_str) {
            Some("write" | "admin") => true,
            Some("read") => level == Level::Read,
            _ => false,
        }
    }
}

impl AppPermissions for Grant {
    fn check(&self, entry: &RepositoryEntry, need: Requirement) -> AccessDecision {
        if !includes(&self.owner, self.repositories.as_deref(), entry) {
            return AccessDecision::Hidden;
        }
        if self.has_permission(need.permission, need.level) { AccessDecision::Yes } else { AccessDecision::No }
    }

    fn installation(&self) -> u64 {
        self.installation
    }
}

/// Whether an installation includes this repository. `None` means all repositories of the owner.
fn includes(owner: &str, repositories: Option<&[u64]>, entry: &RepositoryEntry) -> bool {
    owner.eq_ignore_ascii_case(&entry.owner) && repositories.is_none_or(|ids| ids.contains(&entry.id))
}

async fn records(shared: &Shared) -> Result<&State<AppsRecord>, Error> {
    let missing = || Error::Refused { what: "load Apps", reason: "the forge runs without FakeForge".to_owned() };
    let fake = shared.extension::<FakeForge>().ok_or_else(missing)?;
    fake.apps.get_or_try_init(|| State::load(&shared.dir, "apps.json")).await
}

async fn find(shared: &Shared, id: u64) -> Result<AppRecord, Rejection> {
    let found = records(shared).await?.read(|records| records.apps.iter().find(|app| app.id == id).cloned());
    found.await.ok_or(Rejection::NotFound)
}

pub(crate) async fn installation_of(shared: &Shared, app: u64, entry: &RepositoryEntry) -> Option<u64> {
    let all = installations::installations_of(shared, app).await;
    all.into_iter().find(|installation| installation.includes_repository(entry)).map(|installation| installation.id)
}

pub(crate) async fn install(
    shared: &Shared,
    slug: &str,
    owner: &str,
    repositories: Option<Vec<u64>>,
) -> Result<u64, Error> {
    installations::install(shared, slug, owner, repositories).await.map_err(|objection| match objection {
        Rejection::Failed(error) => error,
        _ => Error::Refused { what: "install the App", reason: format!("there is no App {slug}") },
    })
}

/// The App of an unexpired installation token.
pub(crate) async fn actor(shared: &Shared, token: &str) -> Option<Actor> {
    let now = shared.clock.unix_secs();
    let found = records(shared).await.ok()?.read(|state| {
        let record = state.tokens.iter().find(|record| record.token == token && record.expires_at > now)?;
        let app = state.apps.iter().find(|app| app.id == record.app)?;
        Some((record.grant.clone(), app.clone()))
    });
    let (grant, app) = found.await?;
    let login = format!("{}[bot]", app.slug);
    let account = Account { id: app.bot_id, login, kind: AccountKind::Bot };
    Some(Actor { account, authority: Authority::App(Arc::new(grant)) })
}

#[derive(Deserialize)]
struct Claims {
    iss: Value,
    iat: i64,
    exp: i64,
    jti: Option<String>,
}

/// The id of the App that signed this claim, or GitHub's error message.
/// Writes: the claim's `jti`, so that it is rejected next time.
pub(crate) async fn verify(shared: &Shared, claim: &str) -> Result<u64, String> {
    let bad = || "Bad credentials".to_owned();
    let (signed, signature) = claim.rsplit_once('.').ok_or_else(bad)?;
    let (header, claims) = signed.split_once('.').ok_or_else(bad)?;
    let header: Value = decode(header).ok_or_else(undecodable)?;
    let claims: Claims = decode(claims).ok_or_else(undecodable)?;
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(undecodable());
    }
    let issuer = claims.iss.as_str().map_or_else(|| claims.iss.to_string(), str::to_owned);
    let of = |app: &&AppRecord| app.id.to_string() == issuer || app.client_id == issuer;
    let records = records(shared).await.map_err(|_| bad())?;
    let app = records.read(|state| state.apps.iter().find(of).cloned()).await;
    let app = app.ok_or_else(|| "'Issuer' claim ('iss') must be an Integer or an App's client id".to_owned())?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| undecodable())?;
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &app.public_key);
    key.verify(signed.as_bytes(), &signature).map_err(|_| undecodable())?;
    let now = shared.clock.unix_secs();
    if claims.iat > now + SKEW_SECS {
        return Err("'Issued at' claim ('iat') must be an Integer representing a time in the past".to_owned());
    }
    if claims.exp <= now {
        return Err("'Expiration time' claim ('exp') must be a numeric value representing the future time".to_owned());
    }
    if claims.exp - claims.iat > MAX_LIFE_SECS + SKEW_SECS || claims.exp > now + MAX_LIFE_SECS {
        return Err("'Expiration time' claim ('exp') is too far in the future".to_owned());
    }
    if let Some(jti) = claims.jti {
        let new = format!("{}:{jti}", app.id);
        let seen = records.update(|state| if state.used_claims.insert(new) { Ok(()) } else { Err(ClaimUse::Used) });
        match seen.await {
            Ok(()) => {}
            Err(ClaimUse::Used) => return Err("'JWT ID' claim ('jti') was used before".to_owned()),
            Err(ClaimUse::Failed(error)) => {
                tracing::warn!(error = %error, "a claim could not be remembered: failed to {error}");
                return Err(bad());
            }
        }
    }
    Ok(app.id)
}

enum ClaimUse {
    Used,
    Failed(Error),
}

impl From<Error> for ClaimUse {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn undecodable() -> String {
    "A JSON web token could not be decoded".to_owned()
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
