//! What projects have used up.

use crate::{Error, Store, key};
use pullyard_domain::budget::{Day, Today};
use pullyard_domain::id::ProjectId;

impl Store {
    /// What a project has used up on this day. None: no job was made under a budget, or it is long ago.
    pub async fn budget(&self, project: &ProjectId, day: Day) -> Result<Option<Today>, Error> {
        self.get(&key::budget(project, day)).await
    }
}
