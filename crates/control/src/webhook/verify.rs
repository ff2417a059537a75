//! Whether a delivery is from who knows the hook's secret.

use super::Call;
use crate::{Context, Error, rotate_secret::accepted_previous};
use pullyard_cloud::Versions;
use pullyard_domain::decision::Reason;
use pullyard_domain::hook::Hook;
use pullyard_domain::secret::SecretKind;
use pullyard_forge::webhook::{Secret, SignatureFault, verify};

/// The reason why it is not, if it is not.
///
/// What has no signature is refused before any secret is read: a stranger who can't even write one has us ask for
/// nothing, and is told nothing of a secret that is missing.
/// A signature that fits nothing may be of a secret that was set a moment ago: it is fetched anew, at most
/// once in ten seconds for each hook, since strangers can send what they like.
pub(super) async fn verified(ctx: &Context, hook: &Hook, call: &Call<'_>) -> Result<Result<(), Reason>, Error> {
    // No secret fits, so `Wrong` is what it can at best be.
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

/// Whether it fits, or how many secrets are accepted now. The last value is looked up only for what the present one
/// does not fit.
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
