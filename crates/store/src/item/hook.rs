//! Webhooks, what was heard of them, repositories that are looked at, and secrets whose last value still counts.

use super::{Revised, Stored};
use crate::key::{self, Key};
use pullyard_domain::due::{self, Due};
use pullyard_domain::hook::{Hook, Poll};
use pullyard_domain::id::HookName;
use pullyard_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

impl Stored for Hook {
    fn key(&self) -> Key {
        key::hook(&self.name)
    }
    fn listed(&self) -> Option<(String, String)> {
        Some((key::HOOK_LIST.into(), self.name.to_string()))
    }
}

impl Revised for Hook {
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

/// What was heard of a hook lately. Its own item: deliveries come often, and must not raise the hook's `rev`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookHeard {
    /// When a delivery was verified last; noted once a minute.
    pub verified_at: Option<Timestamp>,
    /// When one was not let in last.
    pub refused_at: Option<Timestamp>,
    /// How many were not let in so far.
    pub refused: u64,
    /// When the hook was made of which this was heard: whoever read it before it was forgotten may note something after
    /// that, and another one of its name has nothing to do with it. None where it was noted before this was.
    pub hook_created: Option<Timestamp>,
}

impl HookHeard {
    /// It was heard of this hook, and of no other one of its name.
    pub(crate) fn is_of(&self, hook: &Hook) -> bool {
        self.hook_created.is_none_or(|created| created == hook.created)
    }
}

/// A secret that was given another value, and how long the last one counts beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    pub secret: String,
    /// The version that counts beside the present one.
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
