//! Writes breakers.

use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write};
use pullyard_domain::agent::breaker::Breaker;

impl Store {
    /// Writes: BREAKER if `rev` and `opened` are those seen (absent if new). A breaker that opened again since stays.
    /// Idempotent: through the domain, by job and attempt.
    pub async fn put_breaker(&self, breaker: &Breaker, previous: Option<&Breaker>) -> Result<Write, Error> {
        let condition = previous.map_or_else(Condition::absent, |previous| {
            Condition::at_rev_since(previous.rev, "opened", previous.opened)
        });
        Transaction::new("open a breaker").revise_over(breaker, condition)?.commit(self).await
    }
}
