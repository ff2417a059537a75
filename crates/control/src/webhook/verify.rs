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
/// A signature that fits nothing may be of a secret that was set a moment ago: it is fetched anew, at most
/// once in ten seconds for each hook, since strangers can send what they like.
pub(super) async fn verified(ctx: &Context, hook: &Hook, call: &Call<'_>) -> Result<Result<(), Reason>, Error> {
    let name = ctx.secret_name(SecretKind::Forge, &hook.secret);
    let versions = ctx.secrets.versions(&name).await?;
    let fault = match fits(ctx, &name, &versions, call).await? {
        Ok(()) => return Ok(Ok(())),
        Err(fault) => fault,
    };
    if fault.reason != SignatureFault::Wrong {
        return Ok(Err(Reason::SignatureMissing {}));
    }
    let mut accepted = fault.accepted;
    if let Some(versions) = ctx.secrets.refetched_versions(&name, &versions).await? {
        match fits(ctx, &name, &versions, call).await? {
            Ok(()) => return Ok(Ok(())),
            Err(fault) => accepted = fault.accepted,
        }
    }
    Ok(Err(Reason::SignatureWrong { n: accepted, integration: hook.integration.clone() }))
}

struct Fault {
    reason: SignatureFault,
    /// How many secrets are accepted now.
    accepted: u64,
}

/// The last value is looked up only for what the present one does not fit.
async fn fits(ctx: &Context, name: &str, versions: &Versions, call: &Call<'_>) -> Result<Result<(), Fault>, Error> {
    let check = |value: &str| verify(&[Secret::new(value)], call.body, call.signature);
    let reason = match check(&versions.current.value) {
        Ok(_) => return Ok(Ok(())),
        Err(reason) => reason,
    };
    if reason != SignatureFault::Wrong {
        return Ok(Err(Fault { reason, accepted: 1 }));
    }
    match accepted_previous(ctx, name, versions).await? {
        None => Ok(Err(Fault { reason, accepted: 1 })),
        Some(previous) => Ok(check(&previous.value).map(drop).map_err(|reason| Fault { reason, accepted: 2 })),
    }
}
