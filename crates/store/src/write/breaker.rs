//! Writes breakers, and deletes them when they close.

use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write, key};
use pullyard_domain::breaker::Breaker;

impl Store {
    /// Writes: BREAKER if `rev` and `opened` are those seen (absent if new). A breaker that opened again since stays.
    /// Idempotent: through the domain, by job and attempt.
    pub async fn put_breaker(&self, breaker: &Breaker, previous: Option<&Breaker>) -> Result<Write, Error> {
        let condition = previous.map_or_else(Condition::absent, |previous| {
            Condition::at_rev_since(previous.rev, "opened", previous.opened)
        });
        Transaction::new("open a breaker").revise_over(breaker, condition)?.commit(self).await
    }

    /// Closes a breaker: all jobs use the account again.
    /// Writes: BREAKER deleted if `rev` and `opened` are those seen or it is gone. One that opened since stays open.
    /// Idempotent: a missing breaker is no error.
    pub async fn close_breaker(&self, breaker: &Breaker) -> Result<Write, Error> {
        let condition = Condition::at_rev_or_absent(breaker.rev, "opened", breaker.opened);
        Transaction::new("close a breaker").delete(key::breaker(&breaker.id), condition).commit(self).await
    }
}
