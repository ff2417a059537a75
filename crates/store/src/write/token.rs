//! API tokens.

use crate::item::token::Token;
use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write};

impl Store {
    /// Stores a token's hash and rights.
    ///
    /// Writes: TOKEN if absent.
    pub async fn put_token(&self, token: &Token) -> Result<Write, Error> {
        Transaction::new("store a token").put(token, Condition::absent())?.commit(self).await
    }
}
