//! Reads the comments of a ticket, and the idempotency records of requests that add them.

use crate::item::{blob, decode, decode_item, key_of};
use crate::key;
use crate::read::partition::SortKeys;
use crate::{Error, Store};
use pullyard_domain::comment::Comment;
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{EventId, ProjectId, TicketKey};
use pullyard_domain::time::Timestamp;

const OPERATION: &str = "read the comments of a ticket";

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
        let items = self.query_items(&first.pk, keys, Some(limit.into()), OPERATION).await?;
        items.into_iter().map(decode_item).collect()
    }

    /// A ticket's text and at most `limit` of its newest comments, newest first, read strongly in one query.
    pub async fn load_text_and_comments(
        &self,
        project: &ProjectId,
        ticket: &TicketKey,
        limit: u8,
    ) -> Result<(Option<TicketText>, Vec<Comment>), Error> {
        // Backwards, the ticket and its text come before the comments.
        let (first, last) = (key::comment(project, ticket, 0), key::ticket(project, ticket));
        let keys = SortKeys::Descending(&first, &last);
        let items = self.query_items(&first.pk, keys, Some(2 + usize::from(limit)), OPERATION).await?;
        let (mut text, mut comments) = (None, Vec::new());
        for item in items {
            let of = key_of(&item);
            if of == key::ticket_text(project, ticket) {
                text = Some(blob::unpack(&of, &item)?);
            } else if of.sk.starts_with(key::COMMENTS) {
                comments.push(decode(item, &of)?);
            }
        }
        Ok((text, comments))
    }

    /// The content hash of a caller's request with this key, and the number of the comment that it added.
    pub async fn load_comment_request(
        &self,
        caller: &str,
        key: &EventId,
        now: Timestamp,
    ) -> Result<Option<(String, u32)>, Error> {
        self.load_request(caller, key, "comment", now, |number| number.parse().ok()).await
    }
}
