//! Rotates a secret: the previous value stays valid for a while.

use crate::admin::secrets::{UserSecret, full_secret_name, put_value};
use crate::{Context, Error};
use pullyard_cloud::{Version, Versions};
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::text::id::SecretName;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{Rotation, Write};
use std::time::Duration;

const MAX_OVERLAP: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Records the accepted version before writing the new value, so that a crash cannot make an older value valid.
/// Idempotent: by the value; the current value again changes nothing.
/// Errors: `Invalid`; `Contended`; `Cloud` with `NoSecret` for a secret that was never set.
pub async fn rotate_secret(
    ctx: &Context,
    name: &SecretName,
    value: &str,
    overlap: Duration,
) -> Result<(UserSecret, Option<Timestamp>), Error> {
    let secret = full_secret_name(ctx, SecretKind::Forge, name, value)?;
    if overlap > MAX_OVERLAP {
        return Err(Error::Invalid { pointer: "/overlap_secs", fault: "use at most seven days".into() });
    }
    let now = ctx.clock.now();
    let user_secret =
        UserSecret { kind: SecretKind::Forge, name: name.clone(), secret: secret.clone(), set_at: Some(now) };
    let mut rounds = ctx.retries(name);
    loop {
        let versions = ctx.secrets.load_versions(&secret).await?;
        let stored = ctx.store.load_rotation(&secret).await?;
        if *versions.current.value == *value {
            return Ok((user_secret, valid_until(stored.as_ref(), &versions, now)));
        }
        let until = now.plus(overlap);
        let rotation = Rotation {
            secret: secret.clone(),
            previous: versions.current.id.clone(),
            until,
            rev: stored.map_or(0, |stored| stored.rev),
        };
        if ctx.store.put_rotation(&rotation).await? == Write::Stale {
            rounds.backoff().await?;
            continue;
        }
        put_value(ctx, &secret, value).await?;
        tracing::info!(secret, until = %until, "secret rotated");
        return Ok((user_secret, (!overlap.is_zero()).then_some(until)));
    }
}

pub async fn previous_valid_until(ctx: &Context, secret: &str) -> Result<Option<Timestamp>, Error> {
    let now = ctx.clock.now();
    let Some(stored) = ctx.store.load_rotation(secret).await?.filter(|stored| stored.until > now) else {
        return Ok(None);
    };
    match ctx.secrets.versions(secret).await {
        Ok(versions) => Ok(valid_until(Some(&stored), &versions, now)),
        // The list may have a name without a value.
        Err(pullyard_cloud::Error::NoSecret { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn valid_until(stored: Option<&Rotation>, versions: &Versions, now: Timestamp) -> Option<Timestamp> {
    let previous = versions.previous.as_ref()?;
    stored.filter(|stored| stored.previous == previous.id && stored.until > now).map(|stored| stored.until)
}

pub(crate) async fn previous_version(
    ctx: &Context,
    secret: &str,
    versions: &Versions,
) -> Result<Option<Version>, Error> {
    let Some(previous) = &versions.previous else { return Ok(None) };
    let stored = ctx.store.load_rotation(secret).await?;
    Ok(valid_until(stored.as_ref(), versions, ctx.clock.now()).map(|_| previous.clone()))
}
