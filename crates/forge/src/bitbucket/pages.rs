//! Reads paginated lists up to a page limit.

use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};

use super::Client;
use crate::{Error, Listing, http_client::RetryPolicy, page::MAX_PAGES};

#[derive(Deserialize)]
pub(super) struct PageResponse<T> {
    pub(super) values: Vec<T>,
    pub(super) next: Option<String>,
}

impl Client {
    /// `per_page` is an argument because Bitbucket's limit differs by list.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        mut address: Url,
        resource: &str,
        per_page: &str,
    ) -> Result<Listing<T>, Error> {
        address.query_pairs_mut().append_pair("pagelen", per_page);
        self.pages(address, resource, RetryPolicy::Retry).await
    }

    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        mut address: Url,
        resource: &str,
        policy: RetryPolicy,
    ) -> Result<Listing<T>, Error> {
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let page: PageResponse<T> = self.get(address, resource, policy).await?;
            all.extend(page.values);
            let Some(next) = page.next else {
                return Ok(Listing { items: all, truncated: false });
            };
            address = self.check_same_origin(&next)?;
        }
        Ok(Listing { items: all, truncated: true })
    }

    /// Rejects URLs outside this API, so that the token is never sent to another host.
    fn check_same_origin(&self, address: &str) -> Result<Url, Error> {
        let address: Option<Url> = address.parse().ok();
        let is_same_origin = |address: &Url| {
            address.origin() == self.api_url.origin() && address.username().is_empty() && address.password().is_none()
        };
        address.filter(is_same_origin).ok_or_else(|| self.unexpected_response("its next page is on another host"))
    }
}
