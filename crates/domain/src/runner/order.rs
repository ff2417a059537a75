//! Orders of users to a runner: restart, or update to another release.
//! A runner has one order at a time. Answers to heartbeats repeat it, and heartbeats report its progress.

use super::{Presence, Refusal, Runner};
use crate::id::{InstanceId, OrderId};
use crate::text::truncate;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

const MAX_REASON_CHARS: usize = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// Start the program again; running jobs continue.
    Restart,
    /// Install another release when no job runs, then start it.
    Update,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// The runner has not confirmed it.
    Wanted,
    /// The runner carries it out.
    Accepted,
    Done,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: OrderId,
    pub kind: OrderKind,
    /// The release of an update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub by: String,
    pub at: Timestamp,
    pub state: OrderState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A runner's report about an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderReport {
    /// The order.
    pub id: OrderId,
    /// `accepted`, `done` or `failed`.
    pub state: OrderState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a runner's program can be replaced from afar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Updates {
    /// Its owner allows updates.
    Allowed,
    /// Its owner does not allow updates.
    Denied,
    /// The program belongs to a container image.
    Image,
}

/// Whether an update may install an older release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downgrade {
    Allowed,
    Refused,
}

/// A release, such as `0.3.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release([u32; 3]);

impl FromStr for Release {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_number = |part: &str| part == "0" || !part.starts_with(['0', '+']);
        let number = |part: &str| part.parse::<u32>().ok().filter(|_| is_number(part));
        let numbers = text.split('.').map(number).collect::<Option<Vec<_>>>();
        let release = numbers.and_then(|numbers| numbers.try_into().ok());
        release.map(Self).ok_or("write a release as 0.3.0")
    }
}

impl Order {
    pub fn is_open(&self) -> bool {
        matches!(self.state, OrderState::Wanted | OrderState::Accepted)
    }

    /// The order after a report about it. `None` if the report changes nothing: it is late, or about another order.
    #[must_use]
    pub fn after_report(&self, report: &OrderReport) -> Option<Self> {
        use OrderState::{Accepted, Done, Failed, Wanted};
        let is_next = matches!((self.state, report.state), (Wanted, Accepted) | (Wanted | Accepted, Done | Failed));
        let reason = report.reason.as_deref().map(|reason| truncate(reason, MAX_REASON_CHARS));
        (is_next && self.id == report.id).then(|| Self { state: report.state, reason, ..self.clone() })
    }

    fn is_same_request(&self, other: &Self) -> bool {
        (self.kind, &self.version) == (other.kind, &other.version)
    }
}

impl Runner {
    /// Adds an order, which replaces one that the runner has not accepted. An equal order that waits stays, as does one
    /// of the same user that the runner has accepted: the request is a repeat.
    /// `version` is the release that the runner runs.
    pub fn with_order(
        &self,
        order: Order,
        version: &str,
        downgrade: Downgrade,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let name = self.name.clone();
        if self.status == Presence::Deleting {
            return Err(Refusal::Deleting { name });
        }
        let Some(updates) = self.updates else {
            return Err(Refusal::OrdersUnsupported { name, version: version.to_owned() });
        };
        if !self.is_online(now) {
            return Err(Refusal::Offline { name });
        }
        if let Some(open) = self.order.as_ref().filter(|order| order.state == OrderState::Accepted) {
            if open.by == order.by && open.is_same_request(&order) {
                return Ok(self.clone());
            }
            return Err(Refusal::OrderAccepted { name, kind: open.kind, by: open.by.clone() });
        }
        if let Some(target) = &order.version {
            match updates {
                Updates::Denied => return Err(Refusal::UpdateNotAllowed { name }),
                Updates::Image => return Err(Refusal::InImage { name }),
                Updates::Allowed => {}
            }
            if target == version {
                return Err(Refusal::RunsAlready { name, version: target.clone() });
            }
            let is_older = target.parse::<Release>().ok() < version.parse::<Release>().ok();
            if is_older && downgrade == Downgrade::Refused {
                return Err(Refusal::Older { name, version: version.to_owned(), target: target.clone() });
            }
        }
        match &self.order {
            Some(waiting) if waiting.is_open() && waiting.is_same_request(&order) => Ok(self.clone()),
            _ => Ok(Self { order: Some(order), ..self.clone() }),
        }
    }

    /// The order that the next answer repeats.
    pub fn open_order(&self) -> Option<&Order> {
        self.order.as_ref().filter(|order| order.is_open())
    }

    /// Whether it takes no jobs because it installs a release.
    pub fn is_updating(&self) -> bool {
        self.order.as_ref().is_some_and(|order| (order.kind, order.state) == (OrderKind::Update, OrderState::Accepted))
    }
}

/// The order after a registration of a process, which may not know or want it.
pub(super) fn after_registration(old: &Runner, instance: &InstanceId, updates: Option<Updates>) -> Option<Order> {
    let order = old.order.as_ref()?;
    let reason = match order.state {
        OrderState::Wanted | OrderState::Accepted if updates.is_none() => {
            "The runner was started with --once, or as a release that carries out no orders."
        }
        // An old request must not surprise the owner who starts the runner days later.
        OrderState::Wanted if old.instance != *instance => "The runner was started anew before it confirmed the order.",
        _ => return Some(order.clone()),
    };
    Some(Order { state: OrderState::Failed, reason: Some(reason.to_owned()), ..order.clone() })
}

#[cfg(test)]
mod tests;
