//! Self-hosted runners.

use crate::{Error, Store, key};
use pullyard_domain::id::RunnerId;
use pullyard_domain::runner::{Profile, Runner};

impl Store {
    /// The changing part of a runner, read strongly.
    pub async fn runner(&self, runner: &RunnerId) -> Result<Option<Runner>, Error> {
        self.get(&key::runner(runner)).await
    }

    /// The lasting part of a runner, read strongly.
    pub async fn runner_profile(&self, runner: &RunnerId) -> Result<Option<Profile>, Error> {
        self.get(&key::runner_profile(runner)).await
    }
}
