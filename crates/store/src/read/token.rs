//! Reads API and runner tokens.

use crate::item::string_attribute;
use crate::item::token::Token;
use crate::read::list::{Order, Page};
use crate::{Error, Store, key};
use pullyard_domain::text::id::TokenId;

/// Rows in one page of a search by id. Rows have only keys, so a page is a few kilobytes.
const PAGE_ROWS: i32 = 1_000;

impl Store {
    /// The token with this hash, read strongly, because a revoked token must be refused at once.
    pub async fn load_token(&self, hash: &str) -> Result<Option<Token>, Error> {
        self.load(&key::token(hash)).await
    }

    /// The hash of the first admin token, read strongly; `None` before an operator created one.
    pub async fn load_first_token(&self) -> Result<Option<String>, Error> {
        let item = self.load_attributes(&key::first_token()).await?;
        Ok(item.and_then(|item| string_attribute(&item, "token").map(str::to_owned)))
    }

    /// The hashes of all tokens, newest first, and the cursor of the next page.
    pub async fn list_token_hashes(&self, after: Option<&str>, limit: i32) -> Result<Page<String>, Error> {
        let (keys, next) = self.list_keys(key::TOKEN_LIST, Order::NewestFirst, after, limit).await?;
        Ok((keys.iter().filter_map(|pk| pk.strip_prefix("TOKEN#").map(str::to_owned)).collect(), next))
    }

    /// The token with this public id. The index finds its hash, so a token that was just created may not be found yet.
    pub async fn load_token_by_id(&self, id: &TokenId) -> Result<Option<Token>, Error> {
        let mut after = None;
        loop {
            let (hashes, next) = self.list_token_hashes(after.as_deref(), PAGE_ROWS).await?;
            if let Some(hash) = hashes.iter().find(|hash| hash.starts_with(id.as_str())) {
                return self.load_token(hash).await;
            }
            if next.is_none() {
                return Ok(None);
            }
            after = next;
        }
    }
}
