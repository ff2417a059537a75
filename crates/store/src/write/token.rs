//! Writes API and runner tokens, and the first admin token.
//! Each write but the first changes only its own attributes, so that noting a use cannot undo a revocation.

use crate::item::token::Token;
use crate::key;
use crate::transaction::{Condition, Transaction, number_value, string_value};
use crate::write::trigger::Request;
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::project::token::LAST_USE_PRECISION;
use pullyard_domain::text::time::Timestamp;

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

    /// Stores the first admin token. It may replace another one, `previous`, which is revoked in the same write.
    /// Writes: TOKEN if absent; FIRST if absent, or if it still names `previous`; the TOKEN of `previous` if it exists:
    /// `revoked`. If two operators write at once, one succeeds.
    /// Idempotent: a repeat is `Stale`, and [`load_first_token`](Self::load_first_token) then names this token.
    pub async fn put_first_token(&self, token: &Token, previous: Option<&str>) -> Result<Write, Error> {
        let mut item = key::first_token().attributes();
        item.insert("token".into(), string_value(&token.hash));
        let condition = match previous {
            None => Condition::absent(),
            Some(hash) => Condition::new("#token = :over").name("#token", "token").value(":over", string_value(hash)),
        };
        let mut write =
            Transaction::new("store the first token").put(token, Condition::absent())?.put_item(item, condition);
        if let Some(hash) = previous {
            write = write.revoke(hash);
        }
        write.commit(self).await
    }

    /// Writes: `revoked` of TOKEN, if it exists. `Stale` if it does not.
    /// Idempotent: a repeat revokes it again.
    pub async fn revoke_token(&self, hash: &str) -> Result<Write, Error> {
        Transaction::new("revoke a token").revoke(hash).commit(self).await
    }

    /// Writes: `last_used` of TOKEN, if it exists and no use was noted within the last minute.
    /// Idempotent: one note per minute is written, the others are `Stale`.
    pub async fn note_token_use(&self, hash: &str, at: Timestamp) -> Result<Write, Error> {
        let expression = "attribute_exists(pk) AND (attribute_not_exists(last_used) OR last_used <= :before)";
        let condition = Condition::new(expression)
            .value(":at", number_value(at.millis()))
            .value(":before", number_value(at.minus(LAST_USE_PRECISION).millis()));
        let note = Transaction::new("note the use of a token");
        note.update(key::token(hash), "last_used = :at", "", condition).commit(self).await
    }
}

impl Transaction {
    fn revoke(self, hash: &str) -> Self {
        let exists = Condition::new("attribute_exists(pk)").value(":yes", AttributeValue::Bool(true));
        self.update(key::token(hash), "revoked = :yes", "", exists)
    }
}
