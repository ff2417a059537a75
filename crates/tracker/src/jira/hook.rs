//! Installs the webhook of a project, and parses its deliveries.

use pullyard_domain::time::Timestamp;
use pullyard_forge::webhook::{Secret, verify};
use pullyard_outbound::{HeaderMap, Method};
use serde_json::{Value, json};

use super::{Jira, in_project};
use crate::client::list;
use crate::{DeliveryError, Error};

/// No part of the REST API v3: an administrator's webhook is permanent and signed, unlike a dynamic one.
const PATH: [&str; 4] = ["rest", "webhooks", "1.0", "webhook"];
const PLACE: &str = "Jira under System, WebHooks";
const EVENTS: [&str; 3] = ["jira:issue_created", "jira:issue_updated", "jira:issue_deleted"];

impl Jira {
    /// Idempotent: updates the webhook with the same URL. Needs the right to administer Jira.
    pub async fn install_hook(&self, scope: &str, url: &str, secret: &str) -> Result<(), Error> {
        let body = json!({
            "name": "Pullyard", "url": url, "events": EVENTS, "excludeBody": false, "enabled": true, "secret": secret,
            "filters": { "issue-related-events-section": in_project(scope) },
        });
        let hooks = self.call(Method::GET, &PATH, &[], "").await?;
        let same = list(&hooks, "")?.iter().find(|hook| hook["url"] == url);
        let id = same.and_then(|hook| hook["self"].as_str()?.rsplit('/').next());
        let method = if id.is_some() { Method::PUT } else { Method::POST };
        let path = PATH.into_iter().chain(id).collect::<Vec<_>>();
        self.call(method, &path, &[], &body.to_string()).await.map(drop)
    }

    /// Returns the ticket's key. The signature covers no time, so a delivery has no age.
    pub fn parse_delivery(
        secrets: &[Secret],
        headers: &HeaderMap,
        body: &[u8],
        _now: Timestamp,
    ) -> Result<String, DeliveryError> {
        let signature = headers.get("x-hub-signature").and_then(|value| value.to_str().ok());
        verify(secrets, body, signature).map_err(|error| DeliveryError::signature(error, PLACE))?;
        let delivery: Value = serde_json::from_slice(body).map_err(DeliveryError::malformed)?;
        delivery["issue"]["key"].as_str().map(str::to_owned).ok_or(DeliveryError::NotATicket)
    }
}
