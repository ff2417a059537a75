//! Builds the message to a webhook by the rules of Standard Webhooks.

use super::{Fault, SecretFault};
use crate::admin::rotate_secret::previous_version;
use crate::{Context, Error};
use pullyard_domain::notice::Notice;
use pullyard_outbound::HeaderMap;
use pullyard_outbound::standard_webhooks::{SigningSecret, signed_headers};

/// During a rotation, the message has a signature with each value.
pub(super) async fn build(ctx: &Context, secret: &str, notice: &Notice) -> Result<(HeaderMap, Vec<u8>), Fault> {
    let body = serde_json::to_vec(&notice.message()).map_err(|error| Error::Inconsistent(error.to_string()))?;
    let versions = ctx.secrets.versions(secret).await.secret_fault(secret)?;
    let previous = previous_version(ctx, secret, &versions).await?;
    let values = std::iter::once(&versions.current).chain(&previous);
    let secrets: Result<Vec<SigningSecret>, _> = values.map(|version| version.value.parse()).collect();
    let secrets = secrets.map_err(|error| Fault::Refused(format!("the secret {secret} is wrong: {error}")))?;
    Ok((signed_headers(&secrets, notice.id.as_str(), ctx.clock.now().millis() / 1_000, &body), body))
}
