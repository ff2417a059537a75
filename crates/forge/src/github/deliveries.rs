//! Deliveries of a webhook, and redelivery.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{GitHub, client::Tries, hooks::Place, pages};
use crate::{Delivery, DeliveryBody, Error, HookScope, Page, Time};

#[derive(Deserialize)]
struct DeliveryAnswer {
    id: u64,
    guid: String,
    delivered_at: Time,
    #[serde(default)]
    redelivery: bool,
    #[serde(default)]
    status: String,
    #[serde(default)]
    status_code: u16,
    event: String,
    action: Option<String>,
    installation_id: Option<u64>,
    repository_id: Option<u64>,
    request: Option<RequestAnswer>,
}

#[derive(Deserialize)]
struct RequestAnswer {
    payload: Option<Value>,
}

impl From<DeliveryAnswer> for Delivery {
    fn from(answer: DeliveryAnswer) -> Self {
        Self {
            id: answer.id,
            guid: answer.guid,
            delivered_at: answer.delivered_at,
            redelivery: answer.redelivery,
            status: answer.status,
            status_code: answer.status_code,
            event: answer.event,
            action: answer.action,
            installation: answer.installation_id,
            repository: answer.repository_id,
        }
    }
}

impl GitHub {
    /// Source: `GET /repos/{owner}/{repo}/hooks/{hook_id}/deliveries`.
    /// Source: `GET /orgs/{org}/hooks/{hook_id}/deliveries`.
    /// Source: `GET /app/hook/deliveries`.
    pub async fn deliveries(
        &self,
        scope: &HookScope,
        hook: u64,
        cursor: Option<&str>,
    ) -> Result<Page<Delivery, String>, Error> {
        let place = Place::of(scope)?;
        let mut address = self.hook_address(&place, Some(hook), &["deliveries"]);
        // The filter for failures is not used: it omits deliveries without a response.
        address.query_pairs_mut().append_pair("per_page", pages::PER_PAGE);
        if let Some(cursor) = cursor {
            address.query_pairs_mut().append_pair("cursor", cursor);
        }
        let (answers, next): (Vec<DeliveryAnswer>, _) = self.client.get_page(&address, &place.what()).await?;
        let found = answers.into_iter().map(Delivery::from).collect();
        Ok(Page { found, next: next.and_then(|next| pages::query(&next, "cursor")) })
    }

    /// Source: `GET /repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}`.
    /// Source: `GET /orgs/{org}/hooks/{hook_id}/deliveries/{delivery_id}`.
    /// Source: `GET /app/hook/deliveries/{delivery_id}`.
    pub async fn delivery(&self, scope: &HookScope, hook: u64, delivery: u64) -> Result<DeliveryBody, Error> {
        let place = Place::of(scope)?;
        let address = self.hook_address(&place, Some(hook), &["deliveries", &delivery.to_string()]);
        let mut answer: DeliveryAnswer = self.client.get(address, &place.what(), Tries::Three).await?;
        let payload = answer.request.take().and_then(|request| request.payload).unwrap_or_default();
        Ok(DeliveryBody { delivery: answer.into(), payload: payload.to_string().into_bytes() })
    }

    /// Source: `POST /repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts`.
    /// Source: `POST /orgs/{org}/hooks/{hook_id}/deliveries/{delivery_id}/attempts`.
    /// Source: `POST /app/hook/deliveries/{delivery_id}/attempts`.
    pub async fn redeliver(&self, scope: &HookScope, hook: u64, delivery: u64) -> Result<(), Error> {
        let place = Place::of(scope)?;
        let address = self.hook_address(&place, Some(hook), &["deliveries", &delivery.to_string(), "attempts"]);
        self.client.order(Method::POST, address, &place.what(), Tries::One).await
    }
}
