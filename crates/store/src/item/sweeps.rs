//! When the sweeper last went round: whether silence is the runners' or its own.

use super::Stored;
use crate::key::{self, Key};
use pullyard_domain::gauges::Gauges;
use pullyard_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The sweeper's own sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweeps {
    pub at: Timestamp,
    /// The last round that looked at the Ready jobs of runners.
    pub ready_at: Timestamp,
    /// Since when it has gone round without a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What the deployment was doing when the Ready jobs were looked at last. Here, because this item is written in
    /// every round anyway: a snapshot of its own would be a second write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gauges: Option<Gauges>,
}

impl Stored for Sweeps {
    fn key(&self) -> Key {
        key::sweeps()
    }
}
