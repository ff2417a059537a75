//! Stores a result that arrives after its attempt was lost.
//! The job does not change.

use crate::item::encode_part;
use crate::key;
use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write};
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobResult;
use pullyard_domain::pull_request::PullRequest;

impl Store {
    /// Writes: `late_result` of ATTEMPT, if it exists.
    /// Idempotent: a repeat stores the same value.
    pub async fn update_late_result(&self, job: &JobId, attempt: u32, result: &JobResult) -> Result<Write, Error> {
        let key = key::attempt(job, attempt);
        let condition = Condition::new("attribute_exists(pk)").value(":result", encode_part(&key, result)?);
        Transaction::new("note a late result").update(key, "late_result = :result", "", condition).commit(self).await
    }

    /// Writes: PR if absent, as its first revision. Without a link, every later review would be refused.
    pub async fn link_if_absent(&self, pull_request: &PullRequest) -> Result<Write, Error> {
        let unseen = PullRequest { rev: 0, ..pull_request.clone() };
        Transaction::new("link a pull request").revise(&unseen)?.commit(self).await
    }
}
