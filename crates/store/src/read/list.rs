//! Reads pages of the `list` index, and converts rows to cursors.

use crate::item::Item;
use crate::schema::LIST;
use crate::transaction::string_value;
use crate::{Error, Store};
use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::BASE64URL_NOPAD;
use std::collections::HashMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    NewestFirst,
    ByName,
}

impl Store {
    /// Returns one page of partition keys, and the cursor of the next page: its last row, valid while new rows arrive.
    /// Errors: `BadCursor` for a cursor that no page returned.
    pub(crate) async fn list_keys(
        &self,
        list: &str,
        order: Order,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<String>, Option<String>), Error> {
        self.list_keys_between(list, order, None, after, limit).await
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

    /// Like `list_keys`, for the rows whose order is between two values, both included.
    /// Errors: `BadCursor` also for a cursor of another row.
    pub(crate) async fn list_keys_between(
        &self,
        list: &str,
        order: Order,
        between: Option<(&str, &str)>,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<String>, Option<String>), Error> {
        let (rows, next) = self.list_rows(list, order, between, after, limit).await?;
        Ok((rows.into_iter().map(|(key, _)| key).collect(), next))
    }

    /// Like `list_keys_between`, with a cursor for each row, so that a caller can continue after any row.
    pub(crate) async fn list_rows(
        &self,
        list: &str,
        order: Order,
        between: Option<(&str, &str)>,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<(String, String)>, Option<String>), Error> {
        let start = after.map(|cursor| parse_cursor(list, cursor).ok_or(Error::BadCursor)).transpose()?;
        let mut condition = "lk = :list".to_owned();
        let mut values = HashMap::from([(":list".to_owned(), string_value(list))]);
        if let Some((first, last)) = between {
            let order = start.as_ref().map(|row| string_attribute(row, "ls"));
            if order.is_some_and(|order| order.as_str() < first || order.as_str() > last) {
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
        Ok((page.items().iter().map(|item| (string_attribute(item, "pk"), to_cursor(item))).collect(), next))
    }
}

fn string_attribute(item: &HashMap<String, AttributeValue>, name: &str) -> String {
    item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
}

/// Encodes a row as text that needs no escaping in a URL.
fn to_cursor(row: &HashMap<String, AttributeValue>) -> String {
    let row = ["ls", "pk", "sk"].map(|name| string_attribute(row, name)).join("\n");
    BASE64URL_NOPAD.encode(row.as_bytes())
}

pub(crate) fn cursor_of(item: &impl Item) -> String {
    let key = item.key();
    let order = item.list_row().map(|(_, order)| order).unwrap_or_default();
    let row = [("ls", order), ("pk", key.pk), ("sk", key.sk)];
    to_cursor(&row.map(|(name, value)| (name.to_owned(), string_value(value))).into())
}

fn parse_cursor(list: &str, cursor: &str) -> Option<HashMap<String, AttributeValue>> {
    let row = String::from_utf8(BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?).ok()?;
    let mut parts = row.split('\n');
    let (order, pk, sk) = (parts.next()?, parts.next()?, parts.next()?);
    let is_complete = parts.next().is_none() && [order, pk, sk].iter().all(|part| !part.is_empty());
    let row = [("lk", list), ("ls", order), ("pk", pk), ("sk", sk)];
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
