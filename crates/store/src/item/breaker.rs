//! Defines the item of a breaker.

use super::Item;
use crate::key::{self, Key};
use pullyard_domain::breaker::Breaker;
use pullyard_domain::time::Timestamp;

impl Item for Breaker {
    fn key(&self) -> Key {
        key::breaker(&self.id)
    }
    fn list_row(&self) -> Option<(String, String)> {
        Some((key::BREAKER_LIST.into(), self.id.to_string()))
    }
    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.expires_at())
    }
}
