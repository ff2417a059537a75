//! Verifies the signature of a delivery.

use super::Call;
use crate::admin::rotate_secret::accepted_previous;
use crate::{Context, Error};
use pullyard_cloud::Versions;
use pullyard_domain::decision::Reason;
use pullyard_domain::hook::Webhook;
use pullyard_domain::secret::SecretKind;
use pullyard_forge::webhook::{Secret, SignatureFault, verify};

/// Refuses a malformed call before reading a secret. If no secret matches, fetches newer ones, at most once in ten
/// seconds per hook, because anyone can send.
pub(super) async fn verified(ctx: &Context, hook: &Webhook, call: &Call<'_>) -> Result<Result<(), Reason>, Error> {
    // Without secrets, a well-formed signature yields `Wrong`.
    if verify(&[], call.body, call.signature) != Err(SignatureFault::Wrong) {
        return Ok(Err(Reason::SignatureMissing {}));
    }
    let name = ctx.secret_name(SecretKind::Forge, &hook.secret);
    let versions = ctx.secrets.versions(&name).await?;
    let Err(mut accepted) = fits(ctx, &name, &versions, call).await? else { return Ok(Ok(())) };
    if let Some(versions) = ctx.secrets.refetched_versions(&name, &versions).await? {
        match fits(ctx, &name, &versions, call).await? {
            Ok(()) => return Ok(Ok(())),
            Err(now) => accepted = now,
        }
    }
    Ok(Err(Reason::SignatureWrong { n: accepted, integration: hook.integration.clone() }))
}

/// Returns the number of accepted secrets if none matches. Reads the previous secret only when needed.
async fn fits(ctx: &Context, name: &str, versions: &Versions, call: &Call<'_>) -> Result<Result<(), u64>, Error> {
    let is_made_with = |value: &str| verify(&[Secret::new(value)], call.body, call.signature).is_ok();
    if is_made_with(&versions.current.value) {
        return Ok(Ok(()));
    }
    Ok(match accepted_previous(ctx, name, versions).await? {
        None => Err(1),
        Some(previous) if is_made_with(&previous.value) => Ok(()),
        Some(_) => Err(2),
    })
}
