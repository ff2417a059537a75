//! Reads the comments of a ticket.

use crate::key;
use crate::read::partition::SortKeys;
use crate::{Error, Store};
use pullyard_domain::text::id::{ProjectId, TicketKey};
use pullyard_domain::ticket::comment::Comment;

impl Store {
    pub async fn load_comment(
        &self,
        project: &ProjectId,
        ticket: &TicketKey,
        number: u32,
    ) -> Result<Option<Comment>, Error> {
        self.load(&key::comment(project, ticket, number)).await
    }

    /// At most `limit` comments with a number below `before`, or the newest ones. Newest first, read strongly.
    pub async fn list_comments(
        &self,
        project: &ProjectId,
        ticket: &TicketKey,
        before: Option<u32>,
        limit: u8,
    ) -> Result<Vec<Comment>, Error> {
        // Numbers start at 1, so the key of 0 is no item.
        let last = before.map_or(u32::MAX, |before| before.saturating_sub(1));
        let [first, last] = [0, last].map(|number| key::comment(project, ticket, number));
        let keys = SortKeys::Descending(&first, &last);
        let items = self.query_items(&first.pk, keys, Some(limit.into()), "read the comments of a ticket").await?;
        items.iter().map(|item| self.decode(item)).collect()
    }
}
