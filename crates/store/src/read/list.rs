//! Reads pages of the `list` index, and converts rows to cursors.

use crate::item::{Attributes, Item, string_attribute};
use crate::schema::LIST;
use crate::transaction::string_value;
use crate::{Error, Store, key};
use data_encoding::BASE64URL_NOPAD;
use pullyard_domain::text::time::Timestamp;
use std::collections::HashMap;

/// Values of one page, and the cursor of the next page.
pub(crate) type Page<T> = (Vec<T>, Option<String>);

/// The rows of a list that a caller may see, each with the cursor after it. The page ends with a cursor of one of them,
/// which reveals no name of the other rows.
#[derive(Debug)]
pub struct VisibleRows<T> {
    pub rows: Vec<(T, String)>,
    limit: usize,
}

impl<T> VisibleRows<T> {
    pub fn new(limit: i32) -> Self {
        Self { rows: Vec::new(), limit: usize::try_from(limit).unwrap_or_default() }
    }

    /// Whether there is a row behind the page, so that the page has a cursor.
    pub fn is_full(&self) -> bool {
        self.rows.len() > self.limit
    }

    pub fn into_page(mut self) -> (Vec<T>, Option<String>) {
        let is_full = self.is_full();
        self.rows.truncate(self.limit);
        let next = self.rows.last().filter(|_| is_full).map(|(_, cursor)| cursor.clone());
        (self.rows.into_iter().map(|(row, _)| row).collect(), next)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    NewestFirst,
    ByName,
}

impl Store {
    /// Returns one page of partition keys and the cursor of the next page. The cursor names this page's last row, so it
    /// stays valid while new rows arrive.
    /// Errors: `BadCursor` for a cursor that no page returned.
    pub(crate) async fn list_keys(
        &self,
        list: &str,
        order: Order,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<String>, Error> {
        let (rows, next) = self.list_rows(list, order, None, after, limit).await?;
        Ok((rows.into_iter().map(|(key, _)| key).collect(), next))
    }

    /// Returns the partition keys of a whole list, in order.
    pub(crate) async fn list_all_keys(&self, list: &str) -> Result<Vec<String>, Error> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (keys, next) = self.list_keys(list, Order::ByName, after.as_deref(), 1_000).await?;
            all.extend(keys);
            after = next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Like `list_keys`, newest first, for the rows whose order is a time and at most `last`.
    /// Errors: `BadCursor` also for a cursor of another row.
    pub(crate) async fn list_keys_until(
        &self,
        list: &str,
        last: Option<Timestamp>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, Error> {
        let times = last.map(|last| [Timestamp::from_millis(0), last].map(key::to_sort_key));
        let range = times.as_ref().map(|[first, last]| (first.as_str(), last.as_str()));
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let (rows, next) = self.list_rows(list, Order::NewestFirst, range, after, limit).await?;
        Ok((rows.into_iter().map(|(key, _)| key).collect(), next))
    }

    /// The rows whose order is between two values, both included, each with a cursor to continue after it.
    pub(crate) async fn list_rows(
        &self,
        list: &str,
        order: Order,
        range: Option<(&str, &str)>,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<(String, String)>, Error> {
        let start = after.map(|cursor| parse_cursor(list, cursor).ok_or(Error::BadCursor)).transpose()?;
        let mut condition = "lk = :list".to_owned();
        let mut values = HashMap::from([(":list".to_owned(), string_value(list))]);
        if let Some((first, last)) = range {
            let order = start.as_ref().and_then(|row| string_attribute(row, "ls"));
            if order.is_some_and(|order| order < first || order > last) {
                return Err(Error::BadCursor);
            }
            if first > last {
                return Ok((Vec::new(), None));
            }
            condition.push_str(" AND ls BETWEEN :first AND :last");
            values.extend([(":first".to_owned(), string_value(first)), (":last".to_owned(), string_value(last))]);
        }
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(LIST)
            .key_condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .scan_index_forward(order == Order::ByName)
            .set_exclusive_start_key(start)
            .limit(limit)
            .send()
            .await
            .map_err(|error| Error::unavailable("list", error))?;
        let next = page.last_evaluated_key().map(to_cursor);
        let row = |item| (string_attribute(item, "pk").unwrap_or_default().to_owned(), to_cursor(item));
        Ok((page.items().iter().map(row).collect(), next))
    }
}

fn to_cursor(row: &Attributes) -> String {
    encode_cursor(["ls", "pk", "sk"].map(|name| string_attribute(row, name).unwrap_or_default()))
}

pub(crate) fn cursor_of(item: &impl Item) -> String {
    let key = item.key();
    let order = item.list_row().map(|(_, order)| order).unwrap_or_default();
    encode_cursor([&order, &key.pk, &key.sk])
}

/// Encodes a row as text that needs no escaping in a URL.
fn encode_cursor(row: [&str; 3]) -> String {
    BASE64URL_NOPAD.encode(row.join("\n").as_bytes())
}

fn parse_cursor(list: &str, cursor: &str) -> Option<Attributes> {
    let row = String::from_utf8(BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?).ok()?;
    let [order, pk, sk] = row.split('\n').collect::<Vec<_>>()[..] else { return None };
    let row = [("lk", list), ("ls", order), ("pk", pk), ("sk", sk)];
    let is_complete = row.iter().all(|(_, part)| !part.is_empty());
    is_complete.then(|| row.map(|(name, value)| (name.to_owned(), string_value(value))).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_url_safe_and_decodes_to_its_row() {
        let row = parse_cursor("JOB#a", &BASE64URL_NOPAD.encode(b"000001\nJOB#job_x\nJOB")).unwrap();
        let cursor = to_cursor(&row);
        assert!(cursor.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        assert_eq!(parse_cursor("JOB#a", &cursor), Some(row));
    }

    #[test]
    fn invalid_cursor_is_rejected() {
        for cursor in ["", "x", "not base64!", &BASE64URL_NOPAD.encode(b"a\nb"), &BASE64URL_NOPAD.encode(b"a\nb\nc\nd")]
        {
            assert_eq!(parse_cursor("JOB#a", cursor), None, "{cursor}");
        }
    }
}
