//! Defines the items of runs.

use super::Item;
use crate::key::{self, Key};
use pullyard_domain::due::{self, Due};
use pullyard_domain::run::Run;

impl Item for Run {
    fn key(&self) -> Key {
        key::run(&self.id)
    }
    fn work_row(&self) -> Option<Due> {
        due::run(self)
    }
    fn list_row(&self) -> Option<(String, String)> {
        Some((key::run_list(&self.project), key::to_sort_key(self.created)))
    }
}
