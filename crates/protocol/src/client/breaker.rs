//! Calls for breakers of model accounts.

use super::{ApiClient, Error};
use crate::breaker::{Breakers, CloseBreaker, ClosedBreaker};

impl ApiClient {
    pub async fn breakers(&self) -> Result<Breakers, Error> {
        self.http.get("/v1/breakers").await
    }

    /// Closes a breaker. Idempotent.
    pub async fn close_breaker(&self, account: &str) -> Result<ClosedBreaker, Error> {
        let request = CloseBreaker { account: account.to_owned() };
        self.http.post_idempotent("/v1/breakers/close", &request).await
    }
}
