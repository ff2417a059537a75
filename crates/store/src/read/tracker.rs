//! Reads connections to ticket tools.

use crate::read::partition::SortKeys;
use crate::{Error, Store, key};
use pullyard_domain::project::tracker::Tracker;
use pullyard_domain::text::id::IntegrationId;

impl Store {
    pub async fn load_tracker(&self, id: &IntegrationId) -> Result<Option<Tracker>, Error> {
        self.load(&key::tracker(id)).await
    }

    /// All connections to ticket tools, by name. An undecodable one is its error.
    pub async fn list_trackers(&self) -> Result<Vec<Result<Tracker, Error>>, Error> {
        let items = self.query_items(key::TRACKERS, SortKeys::All, None, "read the ticket tools").await?;
        Ok(items.iter().map(|item| self.decode(item)).collect())
    }
}
