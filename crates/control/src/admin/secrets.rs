//! Sets and lists users' secrets. A prefix per kind keeps users from replacing the signing key or a foreign secret, and
//! lets a function's role cover one kind only.

use crate::{Context, Error};
use data_encoding::BASE64URL_NOPAD;
use pullyard_domain::id::SecretName;
use pullyard_domain::secret::SecretKind;
use pullyard_domain::time::Timestamp;

/// Limit of Secrets Manager. Units: bytes.
const MAX_VALUE_BYTES: usize = 65_536;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSecret {
    pub kind: SecretKind,
    pub name: SecretName,
    pub secret: String,
    pub set_at: Option<Timestamp>,
}

/// Idempotent: by the value.
/// Errors: `Invalid` for a value that cannot be stored; `Cloud`.
pub async fn set_secret(ctx: &Context, kind: SecretKind, name: &SecretName, value: &str) -> Result<UserSecret, Error> {
    let secret = full_secret_name(ctx, kind, name, value)?;
    ctx.secrets.put(&secret, value).await?;
    tracing::info!(secret, "secret set");
    Ok(UserSecret { kind, name: name.clone(), secret, set_at: Some(ctx.clock.now()) })
}

/// A value for a webhook's secret: 32 random bytes as hexadecimal digits.
pub fn generate_secret_value() -> String {
    data_encoding::HEXLOWER.encode(&rand::random::<[u8; 32]>())
}

pub(crate) fn full_secret_name(
    ctx: &Context,
    kind: SecretKind,
    name: &SecretName,
    value: &str,
) -> Result<String, Error> {
    if value.is_empty() || value.len() > MAX_VALUE_BYTES {
        return Err(Error::Invalid { pointer: "/value", fault: "use 1 to 65536 bytes".into() });
    }
    let secret = ctx.secret_name(kind, name);
    if secret == ctx.key_secret {
        return Err(Error::Invalid { pointer: "/name", fault: "this secret signs the tokens of attempts".into() });
    }
    Ok(secret)
}

/// Allows only users' secrets of this kind, because the value goes to an address that the user chooses or to jobs.
pub(crate) fn check_secret_kind(
    ctx: &Context,
    kind: SecretKind,
    secret: &str,
    pointer: &'static str,
) -> Result<(), Error> {
    let prefix = format!("{}{}", ctx.secret_root, kind.path_prefix());
    if secret == ctx.key_secret || !secret.starts_with(&prefix) {
        let hint = if kind == SecretKind::Job { " for jobs (`pullyard secrets set NAME --for-jobs`)" } else { "" };
        return Err(Error::Invalid {
            pointer,
            fault: format!("use a secret that was set through Pullyard{hint}: {prefix}NAME"),
        });
    }
    Ok(())
}

/// Returns a page of users' secrets and the next cursor. An empty page need not be the last.
pub async fn list_secrets(ctx: &Context, after: Option<&str>) -> Result<(Vec<UserSecret>, Option<String>), Error> {
    // Encoded, because Secrets Manager's cursors are not URL-safe.
    let decode = |cursor: &str| String::from_utf8(BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?).ok();
    let after = after.map(|cursor| decode(cursor).ok_or(pullyard_cloud::Error::BadCursor)).transpose()?;
    let (listed, next) = ctx.secrets.list(&ctx.secret_root, after.as_deref()).await?;
    let secrets = listed.into_iter().filter_map(|entry| {
        let path = entry.name.strip_prefix(&ctx.secret_root)?;
        let parse = |kind: SecretKind| Some((kind, SecretName::new(path.strip_prefix(kind.path_prefix())?).ok()?));
        let (kind, name) = SecretKind::ALL.into_iter().find_map(parse)?;
        Some(UserSecret { kind, name, secret: entry.name, set_at: entry.set_at })
    });
    Ok((secrets.collect(), next.map(|next| BASE64URL_NOPAD.encode(next.as_bytes()))))
}
