//! Defines the items of webhooks, their notes, polled repositories and rotated secrets.

use super::Item;
use crate::key::{self, Key};
use pullyard_domain::project::hook::{Poll, Webhook};
use pullyard_domain::run::due::{self, Due};
use pullyard_domain::text::id::HookName;
use pullyard_domain::text::time::Timestamp;
use serde::{Deserialize, Serialize};

impl Item for Webhook {
    fn key(&self) -> Key {
        key::hook(&self.name)
    }
    fn list_row(&self) -> Option<(String, String)> {
        Some((key::HOOK_LIST.into(), self.name.to_string()))
    }
}

impl Item for Poll {
    fn key(&self) -> Key {
        key::poll(&self.project, &self.integration, self.repository)
    }
    fn work_row(&self) -> Option<Due> {
        due::poll(self)
    }
}

/// The note about a webhook's recent deliveries: an item of its own, so that these do not raise the hook's `rev`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookStats {
    pub verified_at: Option<Timestamp>,
    pub refused_at: Option<Timestamp>,
    /// When the forge last got the present secret by a repair.
    pub repaired_at: Option<Timestamp>,
    pub refused: u64,
}

/// A rotated secret, and how long its previous value stays valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    pub secret: String,
    /// The version that is valid in addition to the present one.
    pub previous: String,
    pub until: Timestamp,
    pub rev: u64,
}

impl Item for Rotation {
    fn key(&self) -> Key {
        key::rotation(&self.secret)
    }
    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.until)
    }
}

pub(crate) fn hook_stats_key(name: &HookName) -> Key {
    Key { sk: "HEARD".into(), ..key::hook(name) }
}
