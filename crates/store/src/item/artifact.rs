//! What one attempt keeps in the bucket: one item, so that its limits are proven by its revision.

use super::{Revised, Stored};
use crate::key::{self, Key};
use pullyard_domain::artifact::{Artifacts, KEPT};
use pullyard_domain::time::Timestamp;

impl Stored for Artifacts {
    fn key(&self) -> Key {
        key::artifacts(&self.job, self.attempt)
    }
    /// With its objects, which the bucket deletes after as long.
    fn expires(&self) -> Option<Timestamp> {
        Some(self.at.plus(KEPT))
    }
}

impl Revised for Artifacts {
    fn seen(&self) -> u64 {
        self.rev
    }
}
