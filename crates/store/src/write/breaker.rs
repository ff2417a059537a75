//! A model's account is left alone, or asked again by all jobs.

use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write, key};
use pullyard_domain::breaker::Breaker;

impl Store {
    /// Stores what the domain made of a breaker, or of none.
    ///
    /// Writes: BREAKER if `rev` and `opened` are those of the one seen (absent if none was): a breaker that
    /// opened since the one that was read was closed stays as it is.
    /// Idempotent: through the domain, by job and attempt.
    pub async fn put_breaker(&self, breaker: &Breaker, seen: Option<&Breaker>) -> Result<Write, Error> {
        // By the one that was seen: trouble that opens it again is of another moment.
        let seen = seen.map_or_else(Condition::absent, |seen| Condition::seen_of(seen.rev, "opened", seen.opened));
        Transaction::new("store that an account is left alone").revise_over(breaker, seen)?.commit(self).await
    }

    /// The account is asked by everybody again.
    ///
    /// Writes: BREAKER deleted if `rev` and `opened` are those seen or it is gone: what opened meanwhile stays open.
    /// Idempotent: one that is gone is gone.
    pub async fn close_breaker(&self, breaker: &Breaker) -> Result<Write, Error> {
        let seen = Condition::seen_of_or_gone(breaker.rev, "opened", breaker.opened);
        Transaction::new("let an account be asked again").delete(key::breaker(&breaker.id), seen).commit(self).await
    }
}
