//! Sign-in links that were used up.

use crate::item::Attributes;
use crate::key;
use crate::schema::EXPIRES;
use crate::transaction::{Condition, Transaction, number, text};
use crate::{Error, Store, Write};
use pullyard_domain::time::Timestamp;
use std::time::Duration;

/// How long a used link is remembered after it expired: more than clocks of two functions differ.
const REMEMBERED: Duration = Duration::from_secs(3_600);

impl Store {
    /// Uses up the sign-in link of this nonce, which expires by itself at `expires`.
    ///
    /// Writes: SIGNIN if absent; `Stale` when it was used before. Of two at once one wins.
    pub async fn use_sign_in(&self, nonce: &str, expires: Timestamp) -> Result<Write, Error> {
        let key = key::sign_in(nonce);
        let forgotten = expires.plus(REMEMBERED).millis() / 1_000;
        let item = Attributes::from([
            ("pk".to_owned(), text(key.pk)),
            ("sk".to_owned(), text(key.sk)),
            (EXPIRES.to_owned(), number(forgotten)),
        ]);
        Transaction::new("use up a sign-in link").put_item(item, Condition::absent()).commit(self).await
    }
}
