//! Stores the output of a job with its end.

use crate::item::{Attributes, blob};
use crate::schema::EXPIRES;
use crate::transaction::{Condition, Transaction, number_value};
use crate::{Error, key};
use pullyard_domain::job::Job;
use pullyard_domain::review::output::{JobOutput, RETENTION};

impl Transaction {
    /// Puts the output of a job that ends, if there is one.
    pub(super) fn create_output(self, job: &Job, output: Option<&JobOutput>) -> Result<Self, Error> {
        match output {
            Some(output) => Ok(self.put_item(encode_output(job, output)?, Condition::absent())),
            None => Ok(self),
        }
    }
}

fn encode_output(job: &Job, output: &JobOutput) -> Result<Attributes, Error> {
    let mut item = blob::pack(&key::output(&job.id), output)?;
    let expires = job.ended_at.unwrap_or(job.created).plus(RETENTION);
    item.insert(EXPIRES.into(), number_value(expires.millis() / 1_000));
    Ok(item)
}
