//! GitHub Apps: who a token or a signed claim stands for.

use std::sync::Arc;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Error,
    access::{Actor, May},
    forge::Shared,
    state::AppRecord,
    users::{Account, AccountKind},
};

/// How far an issuer's clock may be ahead, and how long a claim may hold.
const SKEW_SECS: i64 = 60;
const MAX_LIFE_SECS: i64 = 600;

/// Whoever this installation token stands for, as long as it is valid.
pub(crate) async fn actor(shared: &Shared, token: &str) -> Option<Actor> {
    let now = shared.clock.unix_secs();
    let found = shared.state.read(|state| {
        let record = state.tokens.iter().find(|record| record.token == token && record.expires_at > now)?;
        let app = state.apps.iter().find(|app| app.id == record.app)?;
        Some((record.grant.clone(), app.clone()))
    });
    let (grant, app) = found.await?;
    let login = format!("{}[bot]", app.slug);
    let account = Account { id: app.bot_id, login, kind: AccountKind::Bot };
    Some(Actor { account, may: May::Granted(Arc::new(grant)) })
}

#[derive(Deserialize)]
struct Claims {
    iss: Value,
    iat: i64,
    exp: i64,
    jti: Option<String>,
}

/// The App that signed this claim; else GitHub's words.
///
/// Writes: the claim's `jti`, which is never taken again.
pub(crate) async fn verify(shared: &Shared, claim: &str) -> Result<AppRecord, String> {
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
    let app = shared.state.read(|state| state.apps.iter().find(of).cloned()).await;
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
        let seen = shared
            .state
            .change(|state| if state.seen.insert(format!("{}:{jti}", app.id)) { Ok(()) } else { Err(Seen::Before) });
        match seen.await {
            Ok(()) => {}
            Err(Seen::Before) => return Err("'JWT ID' claim ('jti') was used before".to_owned()),
            Err(Seen::Broken(error)) => {
                tracing::warn!(error = %error, "a claim could not be remembered: failed to {error}");
                return Err(bad());
            }
        }
    }
    Ok(app)
}

enum Seen {
    Before,
    Broken(Error),
}

impl From<Error> for Seen {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

fn undecodable() -> String {
    "A JSON web token could not be decoded".to_owned()
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
