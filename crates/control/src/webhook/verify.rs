//! Verifies the signature of a delivery.

use super::delivery::WebhookRequest;
use crate::admin::rotate_secret::previous_version;
use crate::{Context, Error};
use pullyard_cloud::Versions;
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::text::decision::Reason;
use pullyard_forge::webhook::{Secret, SignatureError, verify};

/// Refuses a malformed call before reading a secret. If no secret matches, fetches newer ones, at most once in ten
/// seconds per hook, because anyone can send.
pub(super) async fn verify_signature(
    ctx: &Context,
    hook: &Webhook,
    call: &WebhookRequest<'_>,
) -> Result<Result<(), Reason>, Error> {
    // Without secrets, a well-formed signature yields `Wrong`.
    if verify(&[], call.body, call.signature) != Err(SignatureError::Wrong) {
        return Ok(Err(Reason::SignatureMissing {}));
    }
    let name = ctx.secret_name(SecretKind::Forge, &hook.secret);
    let is_signed_with = |value: &str| verify(&[Secret::new(value)], call.body, call.signature).is_ok();
    let matched = match_secret(ctx, &name, is_signed_with).await?;
    Ok(matched.map_err(|n| Reason::SignatureWrong { n, integration: hook.integration.clone() }))
}

/// Returns the number of accepted secrets if none matches. Then fetches newer ones, as above.
pub(crate) async fn match_secret(
    ctx: &Context,
    name: &str,
    is_signed_with: impl Fn(&str) -> bool,
) -> Result<Result<(), u64>, Error> {
    let versions = ctx.secrets.versions(name).await?;
    let Err(accepted) = match_versions(ctx, name, &versions, &is_signed_with).await? else { return Ok(Ok(())) };
    match ctx.secrets.refetch_versions(name, &versions).await? {
        Some(versions) => match_versions(ctx, name, &versions, &is_signed_with).await,
        None => Ok(Err(accepted)),
    }
}

/// Reads the previous secret only when needed.
async fn match_versions(
    ctx: &Context,
    name: &str,
    versions: &Versions,
    is_signed_with: impl Fn(&str) -> bool,
) -> Result<Result<(), u64>, Error> {
    if is_signed_with(&versions.current.value) {
        return Ok(Ok(()));
    }
    Ok(match previous_version(ctx, name, versions).await? {
        None => Err(1),
        Some(previous) if is_signed_with(&previous.value) => Ok(()),
        Some(_) => Err(2),
    })
}
