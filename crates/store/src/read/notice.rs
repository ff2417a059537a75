//! Reads notices and the states of their endpoints.

use crate::read::list::{Order, Page};
use crate::{Error, Store, key};
use pullyard_domain::run::notice::{EndpointState, Notice};
use pullyard_domain::text::id::{EndpointId, NoticeId, ProjectId};

impl Store {
    pub async fn load_notice(&self, id: &NoticeId) -> Result<Option<Notice>, Error> {
        self.load(&key::notice(id)).await
    }

    /// The notices of a project, newest first, and the cursor of the next page.
    /// Errors: `BadCursor`.
    pub async fn list_notice_ids(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<NoticeId>, Error> {
        let (keys, next) = self.list_keys(&key::notice_list(project), Order::NewestFirst, after, limit).await?;
        Ok((keys.iter().filter_map(|pk| NoticeId::new(pk.strip_prefix(key::NOTICES)?).ok()).collect(), next))
    }

    pub async fn load_endpoint_state(
        &self,
        project: &ProjectId,
        endpoint: &EndpointId,
    ) -> Result<Option<EndpointState>, Error> {
        self.load(&key::endpoint(project, endpoint)).await
    }
}
