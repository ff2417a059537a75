//! Report of `POST /v1/sweep`, one round of the sweeper on demand.

use serde::{Deserialize, Serialize};

/// Counts of one round of the sweeper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SweepReport {
    /// Due items examined.
    pub checked: u32,
    /// Jobs whose start was requested.
    pub started: u32,
    /// Jobs returned to Ready.
    pub requeued: u32,
    /// Jobs ended.
    pub ended: u32,
    /// Tickets whose settling was requested.
    pub tickets: u32,
    /// Jobs whose admission was requested.
    #[serde(default)]
    pub admitted: u32,
    /// Pull requests whose note is to be written.
    #[serde(default)]
    pub pull_requests: u32,
    /// Repositories queued for a comparison with their forge.
    #[serde(default)]
    pub polls: u32,
    /// Items that needed no work: the index lagged, or another process was faster.
    pub unchanged: u32,
    /// Items that failed, which the sweeper puts off, and parts of the round that failed.
    pub failed: u32,
    /// Self-hosted runners marked Offline.
    #[serde(default)]
    pub offline: u32,
    /// More items were due than one round may handle.
    pub more: bool,
}
