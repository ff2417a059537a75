//! Reads schedules.

use crate::{Error, Store, key};
use pullyard_domain::id::ProjectId;
use pullyard_domain::schedule::{Schedule, ScheduleId};

impl Store {
    pub async fn load_schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>, Error> {
        self.load(&key::schedule(id)).await
    }

    /// The schedules of a project by name.
    pub async fn list_schedules(&self, project: &ProjectId) -> Result<Vec<Schedule>, Error> {
        self.list_with_prefix(&format!("{0}{project}", key::SCHEDULES), key::SCHEDULES, "read the schedules").await
    }
}
