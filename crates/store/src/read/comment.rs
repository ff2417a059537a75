//! Reads the comments of a ticket, and the idempotency records of requests that add them.

use crate::item::{Attributes, blob, decode, decode_item, key_of};
use crate::key::{self, Key};
use crate::transaction::string_value;
use crate::{Error, Store};
use pullyard_domain::comment::Comment;
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{EventId, ProjectId, TicketKey};
use pullyard_domain::time::Timestamp;

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
        let items = self.query_backwards(&first, &last, limit.into()).await?;
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
        let items = self.query_backwards(&first, &last, 2 + usize::from(limit)).await?;
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

    /// At most `limit` items of one partition, from the last key down to the first, both included.
    async fn query_backwards(&self, first: &Key, last: &Key, limit: usize) -> Result<Vec<Attributes>, Error> {
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let left = limit.saturating_sub(items.len());
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
                .expression_attribute_values(":pk", string_value(&first.pk))
                .expression_attribute_values(":first", string_value(&first.sk))
                .expression_attribute_values(":last", string_value(&last.sk))
                .scan_index_forward(false)
                .consistent_read(true)
                .limit(i32::try_from(left).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| Error::unavailable("read the comments of a ticket", error))?;
            items.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() || items.len() >= limit {
                return Ok(items);
            }
        }
    }

    /// The content hash of a caller's request with this key, and the number of the comment that it added.
    pub async fn load_comment_request(
        &self,
        caller: &str,
        key: &EventId,
        now: Timestamp,
    ) -> Result<Option<(String, u32)>, Error> {
        let remembered = self.load_request(caller, key, "comment", now).await?;
        Ok(remembered.and_then(|(content, number)| number.parse().ok().map(|number| (content, number))))
    }
}
