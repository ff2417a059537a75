//! Defines the items of ticket tools.

use super::Item;
use crate::key::{self, Key};
use pullyard_domain::project::tracker::Tracker;

impl Item for Tracker {
    fn key(&self) -> Key {
        key::tracker(&self.id)
    }
}
