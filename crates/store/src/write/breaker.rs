//! A model's account is left alone, tried first, or asked again by everybody.

use crate::transaction::{Condition, Transaction, number};
use crate::{Error, Store, Write, key};
use pullyard_domain::breaker::Breaker;

impl Store {
    /// Stores what the domain made of a breaker.
    ///
    /// Writes: BREAKER if `rev` is the one seen (absent if new): of many who would try first, one does.
    /// Idempotent: through the domain, by job and attempt.
    pub async fn put_breaker(&self, breaker: &Breaker) -> Result<Write, Error> {
        Transaction::new("store that an account is left alone").revise(breaker)?.commit(self).await
    }

    /// The account is asked by everybody again.
    ///
    /// Writes: BREAKER deleted if `rev` is the one seen or it is gone: what opened meanwhile stays open.
    /// Idempotent: one that is gone is gone.
    pub async fn close_breaker(&self, breaker: &Breaker) -> Result<Write, Error> {
        let seen = Condition::of("attribute_not_exists(pk) OR rev = :seen").value(":seen", number(breaker.rev));
        Transaction::new("let an account be asked again").delete(key::breaker(&breaker.id), seen).commit(self).await
    }
}
