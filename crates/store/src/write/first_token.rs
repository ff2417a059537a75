//! Stores the first admin token of a deployment, which an operator creates by hand.

use crate::item::token::Token;
use crate::key;
use crate::transaction::{Condition, Transaction, string_value};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;

impl Store {
    /// Stores the first admin token. It may replace another one, `over`, which is revoked in the same write.
    /// Writes: TOKEN if absent; FIRST if absent, or if it still names `over`; the TOKEN of `over` if it exists:
    /// `revoked`. If two operators write at once, one succeeds.
    /// Idempotent: a repeat is `Stale`, and [`first_token`](Self::first_token) then names this token.
    pub async fn put_first_token(&self, token: &Token, replaced: Option<&str>) -> Result<Write, Error> {
        let mut item = key::first_token().attributes();
        item.insert("token".into(), string_value(&token.hash));
        let condition = match replaced {
            None => Condition::absent(),
            Some(hash) => Condition::new("#token = :over").name("#token", "token").value(":over", string_value(hash)),
        };
        let mut write =
            Transaction::new("store the first token").put(token, Condition::absent())?.put_item(item, condition);
        if let Some(hash) = replaced {
            let exists = Condition::new("attribute_exists(pk)").value(":yes", AttributeValue::Bool(true));
            write = write.update(key::token(hash), "revoked = :yes", "", exists);
        }
        write.commit(self).await
    }
}
