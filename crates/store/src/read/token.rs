//! API tokens.

use crate::item::token::Token;
use crate::{Error, Store, key};

impl Store {
    /// The token of this hash, read strongly: a revoked one must stop at once.
    pub async fn token(&self, hash: &str) -> Result<Option<Token>, Error> {
        self.get(&key::token(hash)).await
    }
}
