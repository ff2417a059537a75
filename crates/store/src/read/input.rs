//! Reads the inputs of a job in order.

use crate::item::decode_item;
use crate::transaction::string_value;
use crate::{Error, Store, key};
use pullyard_domain::id::JobId;
use pullyard_domain::job::Input;

impl Store {
    pub async fn list_inputs(&self, job: &JobId, after: u32) -> Result<Vec<Input>, Error> {
        let from = key::input(job, after);
        let last = key::input(job, u32::MAX);
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :last")
                .expression_attribute_values(":pk", string_value(&from.pk))
                .expression_attribute_values(":from", string_value(&from.sk))
                .expression_attribute_values(":last", string_value(&last.sk))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| Error::unavailable("read inputs", error))?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        let read = items.into_iter().map(decode_item::<Input>);
        // `BETWEEN` includes `after` itself.
        let inputs = read.filter(|input| input.as_ref().map_or(true, |input| input.seq > after));
        inputs.collect()
    }
}
