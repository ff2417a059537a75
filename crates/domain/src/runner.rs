//! A self-hosted runner as the control plane knows it.

use crate::id::{ClaimId, InstanceId, JobId, RunnerId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a runner can be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It was heard lately.
    Online,
    /// It was silent for too long.
    Offline,
    /// It is being removed.
    Deleting,
}

/// The part of a runner that changes at every claim and heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// Which.
    pub id: RunnerId,
    /// Whether it can be counted on.
    pub status: Presence,
    /// Raised whenever it is taken Offline or over, so that ends decided for an earlier life are refused.
    pub epoch: u32,
    /// The process that speaks for it; another one is an older or a copied one.
    pub instance: InstanceId,
    /// When it was last heard.
    pub last_heartbeat: Timestamp,
    /// What it runs, by job.
    pub slots: BTreeMap<JobId, Slot>,
    /// How many jobs it runs at once.
    pub max: u32,
    /// It finishes what it has and takes nothing.
    pub draining: bool,
}

/// One job on a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The attempt.
    pub attempt: u32,
    /// The claim.
    pub claim: ClaimId,
}

/// The part of a runner that changes when it registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Which.
    pub id: RunnerId,
    /// Unique among runners.
    pub name: String,
    /// The agents it can drive.
    pub capabilities: BTreeSet<String>,
    /// Tags that jobs may require.
    pub labels: BTreeSet<String>,
    /// Its release.
    pub version: String,
}
