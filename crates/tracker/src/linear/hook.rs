//! Installs the webhook of a team, and parses its deliveries.

use std::time::Duration;

use pullyard_domain::text::time::Timestamp;
use pullyard_forge::webhook::{Secret, verify};
use pullyard_outbound::HeaderMap;
use serde_json::{Value, json};

use super::Linear;
use crate::client::{cut, has_url, text};
use crate::{Delivery, DeliveryError, Error};

/// Linear repeats a delivery unchanged, the last time about seven hours later.
const MAX_AGE: Duration = Duration::from_secs(8 * 3600);
const CLOCK_SKEW: Duration = Duration::from_secs(300);

const HOOKS: &str = "query Hooks($after: String) {
    webhooks(first: 100, after: $after) { nodes { id url } pageInfo { hasNextPage endCursor } }
}";

const CREATE: &str = "mutation CreateHook($input: WebhookCreateInput!) { webhookCreate(input: $input) { success } }";

const UPDATE: &str = "mutation UpdateHook($id: String!, $input: WebhookUpdateInput!) {
    webhookUpdate(id: $id, input: $input) { success }
}";

const DELETE: &str = "mutation DeleteHook($id: String!) { webhookDelete(id: $id) { success } }";

impl Linear {
    /// The page with the webhooks, for messages.
    pub const HOOK_PLACE: &str = "Linear under Settings, API";

    /// Idempotent: updates the webhook with the same URL, and enables it again. Needs the key of an administrator.
    pub async fn install_hook(&self, scope: &str, url: &str, secret: &str) -> Result<(), Error> {
        let mut input = json!({ "resourceTypes": ["Issue"], "secret": secret, "enabled": true });
        let hooks = self.list(HOOKS, json!({}), usize::MAX).await?;
        if let Some(hook) = hooks.iter().find(|hook| hook["url"] == url) {
            let variables = json!({ "id": text(hook, "/id")?, "input": input });
            return self.query(UPDATE, variables).await.map(drop);
        }
        for (field, value) in [("url", url), ("label", "Pullyard"), ("teamId", scope)] {
            input[field] = value.into();
        }
        self.query(CREATE, json!({ "input": input })).await.map(drop)
    }

    /// Deletes the webhooks with this URL, also with a query behind it.
    pub async fn remove_hooks(&self, url: &str) -> Result<(), Error> {
        for hook in self.list(HOOKS, json!({}), usize::MAX).await?.iter().filter(|hook| has_url(hook, url)) {
            self.query(DELETE, json!({ "id": text(hook, "/id")? })).await?;
        }
        Ok(())
    }

    /// Returns the ticket's key.
    pub fn parse_delivery(
        secrets: &[Secret],
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Delivery, DeliveryError> {
        let digits = headers.get("linear-signature").and_then(|value| value.to_str().ok());
        let signature = digits.map(|digits| format!("sha256={digits}"));
        verify(secrets, body, signature.as_deref())
            .map_err(|error| DeliveryError::signature(error, Self::HOOK_PLACE))?;
        let delivery: Value = serde_json::from_slice(body).map_err(DeliveryError::malformed)?;
        // The header with the time is not signed.
        let sent = delivery["webhookTimestamp"].as_i64().ok_or_else(|| DeliveryError::malformed("it has no time"))?;
        let sent = Timestamp::from_millis(sent);
        if now > sent.plus(MAX_AGE) || sent > now.plus(CLOCK_SKEW) {
            return Err(DeliveryError::Age);
        }
        if delivery["type"] != "Issue" {
            return Err(DeliveryError::NotATicket);
        }
        let key = delivery["data"]["identifier"].as_str().map(cut);
        let key = key.ok_or_else(|| DeliveryError::malformed("data.identifier is missing"))?;
        Ok(Delivery { key, at: Some(sent) })
    }
}
