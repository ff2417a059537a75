//! Lists that come in pages: each says where the next one is.

use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};

use super::Client;
use crate::{Error, Listed, call::Tries, listed::MAX_PAGES};

/// One page.
#[derive(Deserialize)]
pub(super) struct PageAnswer<T> {
    pub(super) values: Vec<T>,
    /// The whole address of the next one.
    pub(super) next: Option<String>,
}

impl Client {
    /// Every page of a list, up to a limit. How much Bitbucket gives at once differs from list to list.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        mut address: Url,
        what: &str,
        per_page: &str,
    ) -> Result<Listed<T>, Error> {
        address.query_pairs_mut().append_pair("pagelen", per_page);
        self.pages(address, what, Tries::Three).await
    }

    /// The same of a list whose first page has this address; each page is asked for with these tries.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        mut address: Url,
        what: &str,
        tries: Tries,
    ) -> Result<Listed<T>, Error> {
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let page: PageAnswer<T> = self.get(address, what, tries).await?;
            found.extend(page.values);
            let Some(next) = page.next else {
                return Ok(Listed { found, more: false });
            };
            address = self.here(&next)?;
        }
        Ok(Listed { found, more: true })
    }

    /// The address that an answer names, if it is of this API: anywhere else has no business with our token.
    fn here(&self, address: &str) -> Result<Url, Error> {
        let address: Option<Url> = address.parse().ok();
        let is_nobodys = |address: &Url| address.username().is_empty() && address.password().is_none();
        let is_ours = |address: &Url| address.origin() == self.api_url.origin() && is_nobodys(address);
        address.filter(is_ours).ok_or_else(|| self.not_understood("its next page is on another host"))
    }
}
