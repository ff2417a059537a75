//! Builds the message to a webhook by the rules of Standard Webhooks.

use crate::admin::rotate_secret::previous_version;
use crate::{Context, Error};
use pullyard_domain::run::notice::Notice;
use pullyard_outbound::HeaderMap;
use pullyard_outbound::standard_webhooks::{SigningSecret, signed_headers};
use serde_json::json;

/// During a rotation, the message has a signature with each value.
/// Errors: `Invalid` for a secret that cannot sign; `Cloud` with `NoSecret`.
pub(super) async fn build(ctx: &Context, secret: &str, notice: &Notice) -> Result<(HeaderMap, Vec<u8>), Error> {
    let versions = ctx.secrets.versions(secret).await?;
    let previous = previous_version(ctx, secret, &versions).await?;
    let current = versions.current.value.parse::<SigningSecret>().map_err(|error| {
        let fault = format!("the secret {secret} is wrong: {error}");
        Error::Invalid { pointer: "/secret", fault }
    })?;
    // A rotation may correct a value that could not sign.
    let secrets: Vec<_> = std::iter::once(current).chain(previous.and_then(|found| found.value.parse().ok())).collect();
    let body = json!({ "type": notice.event, "timestamp": notice.at.to_string(), "data": notice.data });
    let (body, now_secs) = (body.to_string().into_bytes(), ctx.clock.now().millis() / 1_000);
    Ok((signed_headers(&secrets, notice.id.as_str(), now_secs, &body), body))
}
