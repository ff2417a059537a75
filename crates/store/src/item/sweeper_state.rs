//! Defines the item with the sweeper's last round.
//! It shows whether the runners were silent or the sweeper.

use super::Item;
use crate::key::{self, Key};
use pullyard_domain::job::select::Candidate;
use pullyard_domain::text::id::{ClassId, ProjectId};
use pullyard_domain::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Largest difference between two clocks. A sweep recorded further in the future came from a wrong clock.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The last handled row of each class.
pub type ReadyCursors = BTreeMap<ClassId, Candidate>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweeperState {
    pub at: Timestamp,
    pub ready_at: Timestamp,
    /// Since when the sweeper runs without a pause.
    pub since: Option<Timestamp>,
    /// The classes of waiting jobs that the round did not finish.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ready_cursors: ReadyCursors,
    /// The deployment's gauges when the Ready jobs were last checked. They are stored here because each round writes
    /// this item; a separate item would need a second write.
    pub gauges: Option<Gauges>,
}

/// Counts that the sweeper takes once a minute from the rows it reads anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    pub at: Option<Timestamp>,
    pub waiting: u32,
    pub oldest: Option<Timestamp>,
    /// Jobs whose review is not read yet.
    pub pending: u32,
    pub running: u32,
    pub held: u32,
    /// Tickets that are due later, because of a delayed review or a retry.
    pub later: u32,
    pub online: u32,
    /// Runners with a heartbeat that accept no further jobs.
    pub draining: u32,
    pub offline: u32,
    pub slots_busy: u32,
    pub slots_free: u32,
    /// `waiting` by project, without zeros.
    pub waiting_by: BTreeMap<ProjectId, u32>,
    pub held_by: BTreeMap<ProjectId, u32>,
    /// Some rows were not counted, so each count is a lower bound.
    pub more: bool,
}

impl Gauges {
    pub fn oldest_wait(&self, now: Timestamp) -> Option<Duration> {
        self.oldest.map(|oldest| now.since(oldest))
    }
}

impl Item for SweeperState {
    fn key(&self) -> Key {
        key::sweeps()
    }
}
