//! Installs the webhook of a project, and parses its deliveries.

use pullyard_domain::text::time::Timestamp;
use pullyard_forge::webhook::{Secret, verify};
use pullyard_outbound::{HeaderMap, Method};
use serde_json::{Value, json};

use super::{Jira, in_project};
use crate::client::{has_url, list};
use crate::{Delivery, DeliveryError, Error};

/// No part of the REST API v3: an administrator's webhook is permanent and signed, unlike a dynamic one.
const PATH: [&str; 4] = ["rest", "webhooks", "1.0", "webhook"];
const EVENTS: [&str; 3] = ["jira:issue_created", "jira:issue_updated", "jira:issue_deleted"];

impl Jira {
    /// The page with the webhooks, for messages.
    pub const HOOK_PLACE: &str = "Jira under System, WebHooks";

    /// Idempotent: updates the webhook with the same URL. Needs the right to administer Jira.
    pub async fn install_hook(&self, scope: &str, url: &str, secret: &str) -> Result<(), Error> {
        let body = json!({
            "name": "Pullyard", "url": url, "events": EVENTS, "excludeBody": false, "enabled": true, "secret": secret,
            "filters": { "issue-related-events-section": in_project(scope) },
        });
        let hooks = self.call(Method::GET, &PATH, &[], "").await?;
        let id = list(&hooks, "")?.iter().find(|hook| hook["url"] == url).and_then(id);
        let method = if id.is_some() { Method::PUT } else { Method::POST };
        let path = PATH.into_iter().chain(id).collect::<Vec<_>>();
        self.call(method, &path, &[], &body.to_string()).await.map(drop)
    }

    /// Deletes the webhooks with this URL, also with a query behind it.
    pub async fn remove_hooks(&self, url: &str) -> Result<(), Error> {
        let hooks = self.call(Method::GET, &PATH, &[], "").await?;
        for id in list(&hooks, "")?.iter().filter(|hook| has_url(hook, url)).filter_map(id) {
            self.call(Method::DELETE, &[&PATH[..], &[id]].concat(), &[], "").await?;
        }
        Ok(())
    }

    /// The signature has no age, so an old delivery is valid. Its body has the time of the event, which the signature
    /// covers.
    pub fn parse_delivery(
        secrets: &[Secret],
        headers: &HeaderMap,
        body: &[u8],
        _now: Timestamp,
    ) -> Result<Delivery, DeliveryError> {
        let signature = headers.get("x-hub-signature").and_then(|value| value.to_str().ok());
        verify(secrets, body, signature).map_err(|error| DeliveryError::signature(error, Self::HOOK_PLACE))?;
        let delivery: Value = serde_json::from_slice(body).map_err(DeliveryError::malformed)?;
        let key = delivery["issue"]["key"].as_str().ok_or(DeliveryError::NotATicket)?;
        Ok(Delivery { key: key.to_owned(), at: delivery["timestamp"].as_i64().map(Timestamp::from_millis) })
    }
}

fn id(hook: &Value) -> Option<&str> {
    hook["self"].as_str()?.rsplit('/').next()
}
