//! Defines the item with the sweeper's last round.
//! It shows whether the runners were silent or the sweeper.

use super::Item;
use crate::key::{self, Key};
use pullyard_domain::gauges::Gauges;
use pullyard_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweeperState {
    pub at: Timestamp,
    /// The last round that checked the Ready jobs of runners.
    pub ready_at: Timestamp,
    /// Since when the sweeper runs without a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The deployment's gauges when the Ready jobs were last checked. They are stored here because each round writes
    /// this item; a separate item would need a second write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gauges: Option<Gauges>,
}

impl Item for SweeperState {
    fn key(&self) -> Key {
        key::sweeps()
    }
}
