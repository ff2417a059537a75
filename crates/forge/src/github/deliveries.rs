//! Lists the latest deliveries of a webhook.

use serde::Deserialize;

use super::{GitHub, hooks::GitHubHookOwner, pages};
use crate::{Delivery, Error, HookScope};

#[derive(Deserialize)]
struct DeliveryResponse {
    #[serde(default)]
    status: String,
    #[serde(default)]
    status_code: u16,
}

impl From<DeliveryResponse> for Delivery {
    fn from(answer: DeliveryResponse) -> Self {
        Self { status: answer.status, status_code: answer.status_code }
    }
}

impl GitHub {
    /// Source: `GET /repos/{owner}/{repo}/hooks/{hook_id}/deliveries`, `GET /orgs/{org}/hooks/{hook_id}/deliveries`,
    /// `GET /app/hook/deliveries`.
    pub async fn deliveries(&self, scope: &HookScope, hook: u64) -> Result<Vec<Delivery>, Error> {
        let place = GitHubHookOwner::from_scope(scope)?;
        let mut address = self.hook_url(&place, Some(hook), &["deliveries"]);
        // Do not use the failure filter: it omits deliveries without a response.
        address.query_pairs_mut().append_pair("per_page", pages::PER_PAGE);
        let (answers, _): (Vec<DeliveryResponse>, _) = self.client.get_page(&address, &place.description()).await?;
        Ok(answers.into_iter().map(Delivery::from).collect())
    }
}
