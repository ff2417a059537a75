//! Lists the latest deliveries of a webhook.

use super::{GitHub, pages};
use crate::{Delivery, Error, HookScope};

impl GitHub {
    /// Source: `GET /repos/{owner}/{repo}/hooks/{hook_id}/deliveries`, `GET /orgs/{org}/hooks/{hook_id}/deliveries`,
    /// `GET /app/hook/deliveries`.
    pub async fn deliveries(&self, scope: &HookScope, hook: u64) -> Result<Vec<Delivery>, Error> {
        let mut address = self.hook_url(scope, Some(hook), &["deliveries"])?;
        // Do not use the failure filter: it omits deliveries without a response.
        address.query_pairs_mut().append_pair("per_page", pages::PER_PAGE);
        let (deliveries, _) = self.client.get_page(&address, &scope.description()).await?;
        Ok(deliveries)
    }
}
