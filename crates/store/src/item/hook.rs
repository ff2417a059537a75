//! Defines the items of webhooks, their notes, polled repositories and rotated secrets.

use super::{Revised, Stored};
use crate::key::{self, Key};
use pullyard_domain::due::{self, Due};
use pullyard_domain::hook::{Poll, Webhook};
use pullyard_domain::id::HookName;
use pullyard_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

impl Stored for Webhook {
    fn key(&self) -> Key {
        key::hook(&self.name)
    }
    fn listed(&self) -> Option<(String, String)> {
        Some((key::HOOK_LIST.into(), self.name.to_string()))
    }
}

impl Revised for Webhook {
    fn seen(&self) -> u64 {
        self.rev
    }
}

impl Stored for Poll {
    fn key(&self) -> Key {
        key::poll(&self.project, &self.integration, self.repository)
    }
    fn due(&self) -> Option<Due> {
        due::poll(self)
    }
}

impl Revised for Poll {
    fn seen(&self) -> u64 {
        self.rev
    }
}

/// The note about a webhook's recent deliveries. It is a separate item, because frequent deliveries must not raise the
/// hook's `rev`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookHeard {
    /// When a delivery was last verified; written at most once a minute.
    pub verified_at: Option<Timestamp>,
    pub refused_at: Option<Timestamp>,
    pub refused: u64,
    /// When the hook was created. A slow writer may store a note after the hook was deleted, and another hook of its
    /// name must not use that. `None` in notes that are older than this field.
    pub hook_created: Option<Timestamp>,
}

impl HookHeard {
    /// Whether the note is about this hook, and not about another one of its name.
    pub(crate) fn is_of(&self, hook: &Webhook) -> bool {
        self.hook_created.is_none_or(|created| created == hook.created)
    }
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

impl Stored for Rotation {
    fn key(&self) -> Key {
        key::rotation(&self.secret)
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.until)
    }
}

impl Revised for Rotation {
    fn seen(&self) -> u64 {
        self.rev
    }
}

pub(crate) fn heard(name: &HookName) -> Key {
    Key { sk: "HEARD".into(), ..key::hook(name) }
}
