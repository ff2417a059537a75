//! Reads the inputs of a job in order.

use crate::item::decoded;
use crate::transaction::text;
use crate::{Error, Store, key};
use pullyard_domain::id::JobId;
use pullyard_domain::job::Input;

impl Store {
    /// The inputs after this number, oldest first, read strongly.
    pub async fn inputs(&self, job: &JobId, after: u32) -> Result<Vec<Input>, Error> {
        let from = key::input(job, after);
        let last = key::input(job, u32::MAX);
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :last")
                .expression_attribute_values(":pk", text(&from.pk))
                .expression_attribute_values(":from", text(&from.sk))
                .expression_attribute_values(":last", text(&last.sk))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| Error::unavailable("read inputs", error))?;
            found.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        let read = found.into_iter().map(decoded::<Input>);
        // `BETWEEN` includes `after` itself.
        let inputs = read.filter(|input| input.as_ref().map_or(true, |input| input.seq > after));
        inputs.collect()
    }
}
