//! Stores used sign-in links, so that each can be used only once.

use crate::key;
use crate::schema::EXPIRES;
use crate::transaction::{Condition, Transaction, number_value};
use crate::{Error, Store, Write};
use pullyard_domain::text::time::Timestamp;
use std::time::Duration;

/// How long a used link is stored after it expired: more than the clocks of two functions differ.
const RETENTION: Duration = Duration::from_secs(3_600);

impl Store {
    /// Writes: SIGNIN if absent. `Stale` if the link was used before. If two requests use it at once, one succeeds.
    pub async fn use_sign_in(&self, nonce: &str, expires: Timestamp) -> Result<Write, Error> {
        let mut item = key::sign_in(nonce).attributes();
        item.insert(EXPIRES.into(), number_value(expires.plus(RETENTION).millis() / 1_000));
        Transaction::new("use up a sign-in link").put_item(item, Condition::absent()).commit(self).await
    }
}
