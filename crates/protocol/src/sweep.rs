//! `POST /v1/sweep`: one round of the sweeper on demand.

use serde::{Deserialize, Serialize};

/// What one round of the sweeper did.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepReport {
    /// Due items that were looked at.
    pub looked_at: u32,
    /// Jobs whose start was asked for.
    pub started: u32,
    /// Jobs that went back to Ready.
    pub requeued: u32,
    /// Jobs that were ended.
    pub ended: u32,
    /// Tickets whose settling was asked for.
    pub tickets: u32,
    /// Jobs whose review is to be read from its forge.
    #[serde(default)]
    pub admitted: u32,
    /// Pull requests whose note is to be written.
    #[serde(default)]
    pub pull_requests: u32,
    /// Hooks and repositories whose look at the forge was asked for.
    #[serde(default)]
    pub looks: u32,
    /// Items that needed nothing: the index was behind, or somebody else was quicker.
    pub nothing: u32,
    /// What failed: items, which are left alone for a while, and parts of the round that were left out.
    pub failed: u32,
    /// Self-hosted runners that were taken Offline.
    #[serde(default)]
    pub offline: u32,
    /// More was due than one round may do.
    pub more: bool,
}
