//! Defines the items of runs, templates and schedules.

use super::{DAY, Item};
use crate::key::{self, Key};
use pullyard_domain::project::schedule::Schedule;
use pullyard_domain::project::template::Template;
use pullyard_domain::run::due::{self, Due};
use pullyard_domain::run::{Group, Run};
use pullyard_domain::text::time::Timestamp;

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

impl Item for Group {
    fn key(&self) -> Key {
        key::group(&self.project, &self.name)
    }
    /// A listed run works or waits for a week at most.
    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.changed.plus(30 * DAY))
    }
}

impl Item for Template {
    fn key(&self) -> Key {
        key::template(&self.id)
    }
}

impl Item for Schedule {
    fn key(&self) -> Key {
        key::schedule(&self.id)
    }
    fn work_row(&self) -> Option<Due> {
        due::schedule(self)
    }
}
