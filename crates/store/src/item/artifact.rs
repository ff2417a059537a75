//! Defines the item with all artifacts of one attempt.
//! Its revision protects their limits.

use super::Item;
use crate::key::{self, Key};
use pullyard_domain::artifact::{Artifacts, RETENTION};
use pullyard_domain::time::Timestamp;

impl Item for Artifacts {
    fn key(&self) -> Key {
        key::artifacts(&self.job, self.attempt)
    }
    /// The bucket deletes the objects after the same time.
    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.at.plus(RETENTION))
    }
}
