//! Defines the items of notices and of their endpoints.

use super::{DAY, Item};
use crate::key::{self, Key};
use pullyard_domain::run::due::{self, Due};
use pullyard_domain::run::notice::{EndpointState, Notice};
use pullyard_domain::text::time::Timestamp;

impl Item for Notice {
    fn key(&self) -> Key {
        key::notice(&self.id)
    }
    fn work_row(&self) -> Option<Due> {
        due::notice(self)
    }
    fn list_row(&self) -> Option<(String, String)> {
        let order = format!("{}#{}", key::to_sort_key(self.at), self.id);
        Some((key::notice_list(&self.data.project), order))
    }
    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.at.plus(30 * DAY))
    }
}

impl Item for EndpointState {
    fn key(&self) -> Key {
        key::endpoint(&self.project, &self.endpoint)
    }
}
