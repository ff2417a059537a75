//! Defines the items of schedules.

use super::Item;
use crate::key::{self, Key};
use pullyard_domain::due::{self, Due};
use pullyard_domain::schedule::Schedule;

impl Item for Schedule {
    fn key(&self) -> Key {
        key::schedule(&self.id)
    }
    fn work_row(&self) -> Option<Due> {
        due::schedule(self)
    }
}
