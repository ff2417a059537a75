//! Models' accounts that are left alone, as people and programs see them.

use super::{Error, Operator, Repeat};
use crate::breaker::{Breakers, CloseBreaker, ClosedBreaker};

impl Operator {
    /// Models' accounts that are left alone for a while; those of others are left out.
    pub async fn breakers(&self) -> Result<Breakers, Error> {
        self.http.get("/v1/breakers").await
    }

    /// Lets everybody ask an account again. One that nobody waits for stays as it is.
    pub async fn close_breaker(&self, account: &str) -> Result<ClosedBreaker, Error> {
        let request = CloseBreaker { account: account.to_owned() };
        self.http.post("/v1/breakers/close", &request, Repeat::Safe).await
    }
}
