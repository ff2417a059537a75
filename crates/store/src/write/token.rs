//! Writes API and runner tokens.
//! Each write but the first changes only its own attributes, so that noting a use cannot undo a revocation.

use crate::item::token::Token;
use crate::key;
use crate::transaction::{Condition, Transaction, number_value};
use crate::write::trigger::Request;
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::time::Timestamp;
use pullyard_domain::token::LAST_USE_PRECISION;

impl Store {
    /// Writes: TOKEN if absent.
    pub async fn put_token(&self, token: &Token) -> Result<Write, Error> {
        Transaction::new("store a token").put(token, Condition::absent())?.commit(self).await
    }

    /// Stores a requested token, with the caller's own key for the request.
    /// Writes: TOKEN if absent; IDEMPOTENCY if absent or expired.
    /// Idempotent: by the key; a repeat is `Stale`, and the key shows which token was created.
    pub async fn create_token(&self, token: &Token, request: Option<&Request>) -> Result<Write, Error> {
        Transaction::new("create a token")
            .put(token, Condition::absent())?
            .put_request(request, token.id().as_str())
            .commit(self)
            .await
    }

    /// Writes: `revoked` of TOKEN, if it exists. `Stale` if it does not.
    /// Idempotent: a repeat revokes it again.
    pub async fn revoke_token(&self, hash: &str) -> Result<Write, Error> {
        let condition = Condition::new("attribute_exists(pk)").value(":yes", AttributeValue::Bool(true));
        let revoke = Transaction::new("revoke a token");
        revoke.update(key::token(hash), "revoked = :yes", "", condition).commit(self).await
    }

    /// Writes: `last_used` of TOKEN, if it exists and no use was noted within the last minute.
    /// Idempotent: one note per minute is written, the others are `Stale`.
    pub async fn note_token_use(&self, hash: &str, at: Timestamp) -> Result<Write, Error> {
        let long_ago = "attribute_exists(pk) AND (attribute_not_exists(last_used) OR last_used <= :before)";
        let condition = Condition::new(long_ago)
            .value(":at", number_value(at.millis()))
            .value(":before", number_value(at.minus(LAST_USE_PRECISION).millis()));
        let note = Transaction::new("note the use of a token");
        note.update(key::token(hash), "last_used = :at", "", condition).commit(self).await
    }
}
