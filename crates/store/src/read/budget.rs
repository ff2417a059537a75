//! Reads what projects have used of their budgets.

use crate::{Error, Store, key};
use pullyard_domain::budget::{DailyUsage, Day};
use pullyard_domain::id::ProjectId;

impl Store {
    /// The use of a project's budget on this day. `None` if no job was created under a budget, or the day is long ago.
    pub async fn load_budget(&self, project: &ProjectId, day: Day) -> Result<Option<DailyUsage>, Error> {
        self.load(&key::budget(project, day)).await
    }
}
