//! Sets, lists and deletes users' secrets. A prefix per kind keeps users from replacing the signing key or a foreign
//! secret, and lets a function's role cover one kind only.

use crate::corrupt::skip_corrupt_items;
use crate::{Context, Error};
use data_encoding::BASE64URL_NOPAD;
use pullyard_domain::project::secret::{LOCAL_FORGE_SECRET, LOCAL_PERSON_SECRET, SecretKind, SecretUser};
use pullyard_domain::review::removal::{deny_secret_removal, deny_young_secret};
use pullyard_domain::text::id::SecretName;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{Error as StoreError, SecretRecord, Write};
use std::collections::BTreeMap;

/// Limit of Secrets Manager. Units: bytes.
const MAX_VALUE_BYTES: usize = 65_536;

const PAGE: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSecret {
    pub kind: SecretKind,
    pub name: SecretName,
    pub secret: String,
    pub set_at: Option<Timestamp>,
}

/// Writes: SECRETS, then the value.
/// Idempotent: by the value.
/// Errors: `Invalid` for a value that cannot be stored; `Contended`; `Cloud`.
pub async fn set_secret(ctx: &Context, kind: SecretKind, name: &SecretName, value: &str) -> Result<UserSecret, Error> {
    let secret = full_secret_name(ctx, kind, name, value)?;
    put_value(ctx, &secret, value).await?;
    tracing::info!(secret, "secret set");
    Ok(UserSecret { kind, name: name.clone(), secret, set_at: Some(ctx.clock.now()) })
}

/// Stores the name before the value: `list_secrets` reads the names from the table, because AWS cannot limit its own list
/// to a deployment. A name without a value remains after a failure; setting the secret repairs it.
/// Writes: SECRETS over its `rev`, then the value.
/// Errors: `Contended`; `Cloud`.
pub(crate) async fn put_value(ctx: &Context, secret: &str, value: &str) -> Result<(), Error> {
    let mut rounds = ctx.retries(secret);
    loop {
        let stored = ctx.store.load_secret_record(secret).await?;
        let record = SecretRecord::next(stored, secret, ctx.clock.now());
        if ctx.store.put_secret_record(&record).await? == Write::Applied {
            break;
        }
        rounds.backoff().await?;
    }
    Ok(ctx.secrets.put(secret, value).await?)
}

/// Deletes the value, then its name, unless the secret was set since `record` was read.
/// Writes: the value; SECRETS, if it is `record`.
/// Idempotent: a missing value or name is no error, unless AWS denies the missing name.
/// Errors: `Cloud`.
pub(crate) async fn delete_value(ctx: &Context, secret: &str, record: Option<&SecretRecord>) -> Result<(), Error> {
    match ctx.secrets.delete(secret).await {
        Ok(()) | Err(pullyard_cloud::Error::NoSecret { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(record) = record
        && ctx.store.delete_secret_record(record).await? == Write::Stale
    {
        tracing::info!(secret, "secret set again during its deletion; its name remains");
    }
    Ok(())
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

/// Returns a page of users' secrets by full name, and the next cursor. `users`: the result of `list_secret_users`.
///
/// A secret that an earlier release set has no name in the table until it is set again. It is listed without a time
/// while something uses it.
/// Errors: `Store`, with `BadCursor` for a cursor that cannot be decoded.
pub async fn list_secrets(
    ctx: &Context,
    users: &BTreeMap<String, Vec<SecretUser>>,
    after: Option<&str>,
) -> Result<(Vec<UserSecret>, Option<String>), Error> {
    // Encoded, because full names are not URL-safe.
    let decode = |cursor: &str| String::from_utf8(BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?).ok();
    let after = after.map(|cursor| decode(cursor).ok_or(StoreError::BadCursor)).transpose()?;
    let records = skip_corrupt_items(ctx, ctx.store.list_secret_records().await?)?;
    let mut times: BTreeMap<&str, Option<Timestamp>> = users.keys().map(|secret| (secret.as_str(), None)).collect();
    times.extend(records.iter().map(|record| (record.secret.as_str(), Some(record.set_at))));
    let remaining = times.into_iter().filter(|(secret, _)| after.as_deref().is_none_or(|after| *secret > after));
    let mut page: Vec<_> =
        remaining.filter_map(|(secret, set_at)| parse_secret(ctx, secret, set_at)).take(PAGE + 1).collect();
    let has_more = page.len() > PAGE;
    page.truncate(PAGE);
    let next = page.last().filter(|_| has_more).map(|last| BASE64URL_NOPAD.encode(last.secret.as_bytes()));
    Ok((page, next))
}

/// `None` for a name outside this deployment.
fn parse_secret(ctx: &Context, secret: &str, set_at: Option<Timestamp>) -> Option<UserSecret> {
    let path = secret.strip_prefix(&ctx.secret_root)?;
    let parse = |kind: SecretKind| Some((kind, SecretName::new(path.strip_prefix(kind.path_prefix())?).ok()?));
    let (kind, name) = SecretKind::ALL.into_iter().find_map(parse)?;
    Some(UserSecret { kind, name, secret: secret.to_owned(), set_at })
}

/// The users of each secret, by its full name. Omits users created within the last second (eventually consistent
/// index) and items that cannot be parsed.
pub async fn list_secret_users(ctx: &Context) -> Result<BTreeMap<String, Vec<SecretUser>>, Error> {
    load_users(ctx, Unreadable::Skip).await
}

#[derive(Clone, Copy)]
enum Unreadable {
    Skip,
    Fail,
}

impl Unreadable {
    fn check<T>(self, ctx: &Context, items: Vec<Result<T, StoreError>>) -> Result<Vec<T>, Error> {
        match self {
            Self::Skip => skip_corrupt_items(ctx, items),
            Self::Fail => Ok(items.into_iter().collect::<Result<_, _>>()?),
        }
    }
}

async fn load_users(ctx: &Context, unreadable: Unreadable) -> Result<BTreeMap<String, Vec<SecretUser>>, Error> {
    let store = &ctx.store;
    let mut users = BTreeMap::<String, Vec<SecretUser>>::new();
    let mut add = |secret: &str, user| users.entry(secret.to_owned()).or_default().push(user);
    if ctx.on_one_machine {
        add(LOCAL_FORGE_SECRET, SecretUser::LocalForge {});
        add(LOCAL_PERSON_SECRET, SecretUser::LocalForge {});
    }
    let integrations = store.load_integrations(&store.list_all_integration_ids().await?).await?;
    for integration in unreadable.check(ctx, integrations)? {
        let user = SecretUser::Integration { id: integration.id };
        integration.auth.secrets().into_iter().for_each(|secret| add(secret, user.clone()));
    }
    let hooks = store.load_hooks(&store.list_all_hook_names().await?).await?;
    for hook in unreadable.check(ctx, hooks)? {
        add(&ctx.secret_name(SecretKind::Forge, &hook.secret), SecretUser::Hook { name: hook.name });
    }
    for tracker in unreadable.check(ctx, store.list_trackers().await?)? {
        let user = SecretUser::Tracker { id: tracker.id };
        tracker.hook_secret.iter().chain([&tracker.secret]).for_each(|secret| add(secret, user.clone()));
    }
    let projects = store.load_projects(&store.list_all_project_ids().await?).await?;
    for project in unreadable.check(ctx, projects)? {
        SecretUser::in_settings(&project).into_iter().for_each(|(secret, user)| add(secret, user));
    }
    Ok(users)
}

/// Best effort: if a user of the secret appears during the deletion, and the second check finds it, the error names
/// this user. The value cannot be restored safely, because a newer one may be stored already.
/// Writes: the value, then SECRETS.
/// Idempotent: a repeat returns `NotFound`, or deletes the name that an interrupted call left, unless AWS denies it.
/// Errors: `NotFound`; `Invalid` for such a user; `Denied` while an integration, a webhook or a project names the
/// secret, and for a secret that was just set; `Cloud`; `Store` if an item cannot be parsed.
pub async fn delete_secret(ctx: &Context, kind: SecretKind, name: &SecretName) -> Result<String, Error> {
    let secret = ctx.secret_name(kind, name);
    if secret == ctx.key_secret {
        return Err(Error::not_found("secret", secret));
    }
    // Read before the value is deleted: a later `put_value` changes it.
    let record = ctx.store.load_secret_record(&secret).await?;
    let value_set_at = match ctx.secrets.load_before_deletion(&secret).await {
        Err(pullyard_cloud::Error::NoSecret { .. }) if record.is_none() => {
            return Err(Error::not_found("secret", secret));
        }
        Err(pullyard_cloud::Error::NoSecret { .. }) => None,
        loaded => loaded?,
    };
    check_unused(ctx, name, &secret).await?;
    // The record is younger than the value while `put_value` runs. This refusal lasts longer than any such call, so no
    // value is stored after its name was deleted.
    let set_at = value_set_at.max(record.as_ref().map(|record| record.set_at));
    Error::refuse_if(set_at.and_then(|set_at| deny_young_secret(name, set_at, ctx.clock.now())))?;
    delete_value(ctx, &secret, record.as_ref()).await?;
    match check_unused(ctx, name, &secret).await {
        Ok(()) => tracing::info!(secret, "secret deleted"),
        Err(refusal @ Error::Denied(_)) => {
            tracing::error!(secret, error = %refusal, "a deleted secret has a user: set it again");
            let fault = format!("{name} was deleted while something began to use it: set it again ({refusal})");
            return Err(Error::Invalid { pointer: "/name", fault });
        }
        Err(error) => tracing::warn!(secret, error = %error, "secret deleted; its users could not be checked again"),
    }
    Ok(secret)
}

async fn check_unused(ctx: &Context, name: &SecretName, secret: &str) -> Result<(), Error> {
    let users = load_users(ctx, Unreadable::Fail).await?.remove(secret).unwrap_or_default();
    Error::refuse_if(deny_secret_removal(name, &users))
}
