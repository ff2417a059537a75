//! Defines the item of a breaker.

use super::{Revised, Stored};
use crate::key::{self, Key};
use pullyard_domain::breaker::Breaker;
use pullyard_domain::time::Timestamp;

impl Stored for Breaker {
    fn key(&self) -> Key {
        key::breaker(&self.id)
    }
    fn listed(&self) -> Option<(String, String)> {
        Some((key::BREAKER_LIST.into(), self.id.to_string()))
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.expires_at())
    }
}

impl Revised for Breaker {
    fn seen(&self) -> u64 {
        self.rev
    }
}
