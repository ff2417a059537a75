//! Reads the items of a partition: all, or those with a common prefix of their sort keys.

use crate::item::{Attributes, decode_item};
use crate::transaction::string_value;
use crate::{Error, Store};
use serde::de::DeserializeOwned;

impl Store {
    /// Decodes the items whose sort keys begin with `begins`, in their order. Reads strongly.
    pub(crate) async fn list_with_prefix<T: DeserializeOwned>(
        &self,
        pk: &str,
        begins: &str,
        operation: &'static str,
    ) -> Result<Vec<T>, Error> {
        let items = self.query_pages(pk, begins, operation).await?;
        items.into_iter().map(decode_item).collect()
    }

    pub(crate) async fn list_partition(&self, pk: &str, operation: &'static str) -> Result<Vec<Attributes>, Error> {
        self.query_pages(pk, "", operation).await
    }

    /// The items whose sort keys begin with `begins`, or all if it is empty. Reads strongly.
    pub(crate) async fn query_pages(
        &self,
        pk: &str,
        begins: &str,
        operation: &'static str,
    ) -> Result<Vec<Attributes>, Error> {
        // A condition does not accept an empty text.
        let condition = if begins.is_empty() { "pk = :pk" } else { "pk = :pk AND begins_with(sk, :sk)" };
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression(condition)
                .expression_attribute_values(":pk", string_value(pk))
                .consistent_read(true)
                .set_exclusive_start_key(start);
            let page =
                if begins.is_empty() { page } else { page.expression_attribute_values(":sk", string_value(begins)) };
            let page = page.send().await.map_err(|error| Error::unavailable(operation, error))?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }
}
