//! The answer to every request for a job.

use pullyard_domain::text::decision::{Reason, Verdict};
use pullyard_domain::text::id::{DeliveryId, JobId};
use serde::{Deserialize, Serialize};

/// A decision: the answer to every event, with any verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Decision {
    /// Its ledger entry.
    pub delivery: DeliveryId,
    /// Verdict.
    pub verdict: Verdict,
    /// Code of the reason, for programs.
    pub code: String,
    /// Reason as a sentence for users.
    pub sentence: String,
    /// Advice.
    pub help: String,
    /// The job that was created, or the active job that prevented it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

impl Decision {
    /// Converts a reason to the answer.
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
