//! The answer to every request for a job.

use pullyard_domain::decision::{Reason, Verdict};
use pullyard_domain::id::{DeliveryId, JobId};
use serde::{Deserialize, Serialize};

/// A decision: the body of every answer to an event, whatever the verdict.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Its ledger entry.
    pub delivery: DeliveryId,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, for programs.
    pub code: String,
    /// Why, for people.
    pub sentence: String,
    /// What to do about it.
    pub help: String,
    /// The job it is about: the one made, or the one in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

impl Decision {
    /// Converts a reason for the answer.
    pub fn new(delivery: DeliveryId, reason: &Reason, job: Option<JobId>) -> Self {
        Self {
            delivery,
            verdict: reason.verdict(),
            code: reason.code().into(),
            sentence: reason.sentence(),
            help: reason.help(),
            job,
        }
    }
}
