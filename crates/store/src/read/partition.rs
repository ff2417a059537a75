//! Reads the items of a partition: all, those with a common prefix of their sort keys, or a range.

use crate::item::{Attributes, Item};
use crate::key::Key;
use crate::transaction::string_value;
use crate::{Error, Store};

pub(crate) enum SortKeys<'a> {
    All,
    Prefix(&'a str),
    /// Both included, first to last.
    Ascending(&'a Key, &'a Key),
    /// Both included, last to first.
    Descending(&'a Key, &'a Key),
}

impl Store {
    /// Decodes the items whose sort keys begin with `prefix`, in their order. Reads strongly.
    pub(crate) async fn list_with_prefix<T: Item>(
        &self,
        pk: &str,
        prefix: &str,
        operation: &'static str,
    ) -> Result<Vec<T>, Error> {
        let items = self.query_items(pk, SortKeys::Prefix(prefix), None, operation).await?;
        items.iter().map(|item| self.decode(item)).collect()
    }

    /// At most `limit` items, in the order of `keys`. Reads strongly.
    pub(crate) async fn query_items(
        &self,
        pk: &str,
        keys: SortKeys<'_>,
        limit: Option<usize>,
        operation: &'static str,
    ) -> Result<Vec<Attributes>, Error> {
        let (condition, values) = match keys {
            SortKeys::All => ("pk = :pk", Vec::new()),
            SortKeys::Prefix(prefix) => ("pk = :pk AND begins_with(sk, :sk)", vec![(":sk", prefix)]),
            SortKeys::Ascending(first, last) | SortKeys::Descending(first, last) => {
                ("pk = :pk AND sk BETWEEN :first AND :last", vec![(":first", &*first.sk), (":last", &last.sk)])
            }
        };
        let values = [(":pk", pk)].into_iter().chain(values);
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression(condition)
            .set_expression_attribute_values(Some(
                values.map(|(name, text)| (name.into(), string_value(text))).collect(),
            ))
            .scan_index_forward(!matches!(keys, SortKeys::Descending(..)))
            .consistent_read(true);
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let remaining = limit.map(|limit| i32::try_from(limit.saturating_sub(items.len())).unwrap_or(i32::MAX));
            let page = query.clone().set_limit(remaining).set_exclusive_start_key(start).send().await;
            let page = page.map_err(|error| Error::unavailable(operation, error))?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            // DynamoDB ends an answer at one megabyte, even below the limit.
            if start.is_none() || limit.is_some_and(|limit| items.len() >= limit) {
                return Ok(items);
            }
        }
    }
}
