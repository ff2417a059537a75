//! Orders of users to a runner: restart, or update to another release.
//! A runner has one order at a time. Answers to heartbeats repeat it, and heartbeats report its progress.

use super::{Presence, Refusal, Runner};
use crate::text::id::{InstanceId, OrderId};
use crate::text::time::Timestamp;
use crate::text::truncate;
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
}

impl Runner {
    /// Adds an order, which replaces an order that the runner has not accepted.
    /// `version` is the release that the runner runs.
    pub fn with_order(&self, order: Order, version: &str, now: Timestamp) -> Result<Self, Refusal> {
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
            return Err(Refusal::OrderAccepted { name, kind: open.kind, by: open.by.clone() });
        }
        if let Some(target) = &order.version {
            if updates == Updates::Denied {
                return Err(Refusal::UpdateNotAllowed { name });
            }
            if target == version {
                return Err(Refusal::RunsAlready { name, version: target.clone() });
            }
        }
        Ok(Self { order: Some(order), ..self.clone() })
    }

    /// The order that the next answer repeats.
    pub fn open_order(&self) -> Option<&Order> {
        self.order.as_ref().filter(|order| order.is_open())
    }

    /// Whether it installs a release, for which it soon claims no more jobs.
    pub fn is_updating(&self) -> bool {
        self.order.as_ref().is_some_and(|order| (order.kind, order.state) == (OrderKind::Update, OrderState::Accepted))
    }
}

/// The order after a registration of a process, which may not know it. An old request must not surprise the owner who
/// starts the runner days later. A process that knows orders reports the end of one that an earlier process accepted.
pub(super) fn after_registration(old: &Runner, instance: &InstanceId, updates: Option<Updates>) -> Option<Order> {
    let order = old.order.clone()?;
    let is_expected = updates.is_some() && (order.state == OrderState::Accepted || old.instance == *instance);
    if !order.is_open() || is_expected {
        return Some(order);
    }
    let reason = Some("The runner was started anew, or carries out no orders.".to_owned());
    Some(Order { state: OrderState::Failed, reason, ..order })
}

#[cfg(test)]
mod tests;
