//! Progress of comparing a connected repository with its forge.

use super::{Ingress, RECORD_INTERVAL, RECOVERY_INTERVAL};
use crate::project::forge::ForgeKind;
use crate::text::id::{RepositoryName, TicketKey};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

pub const MAX_CHANGED: usize = 100;

/// Tickets that changed this long before the choice of the tool are shown, too.
pub const LOOK_BACK: Duration = Duration::from_secs(14 * 86_400);

/// A tool announces a move within this time, which also covers the difference between the clocks.
const MAX_DELAY: Duration = Duration::from_secs(120);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollProgress {
    /// Everything submitted before this was seen. Set when the repository is connected and by full comparisons.
    pub since: Option<Timestamp>,
    pub began: Option<Timestamp>,
    /// The row of the project's open pull requests after which the comparison continues.
    pub after: Option<String>,
    pub problem: Option<String>,
    /// When the forge's list of changed pull requests was last read to its end.
    pub listed: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<u64>,
    /// When the issues of the project's tool were last listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issues: Option<Timestamp>,
    /// All comments on issues that changed before this time were read. An older version of the program stored none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comments: Option<Timestamp>,
    /// Issues with a comment that could not be decided, and the time of their oldest such comment. The next poll repeats
    /// them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub undecided: BTreeMap<u64, Timestamp>,
    /// Whether the repository was archived, so that nothing can be pushed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
    /// The name before the last rename that a poll saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<RepositoryName>,
    /// The project or team of the ticket tool to which the progress belongs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The last list's tickets that the next list repeats, with the times of their changes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<String, Timestamp>,
    /// Tickets that could not be read, with the time of the last failure. The next poll repeats their looks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<TicketKey, Timestamp>,
    /// The webhook of the ticket tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookHealth>,
}

/// The webhook of a ticket tool for one project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookHealth {
    /// When Pullyard installed it; `None` if it did not.
    pub installed: Option<Timestamp>,
    /// The last recorded delivery that was verified.
    pub delivered: Option<Timestamp>,
    /// The time of a move that no delivery announced, until the next delivery.
    pub missed: Option<Timestamp>,
}

impl WebhookHealth {
    /// The health after a verified delivery; `None` if it needs no write.
    pub fn record_delivery(&self, now: Timestamp) -> Option<Self> {
        let is_recent = self.delivered.is_some_and(|at| now.since(at) < RECORD_INTERVAL);
        let is_known = is_recent && self.missed.is_none();
        (!is_known).then(|| Self { delivered: Some(now), missed: None, ..self.clone() })
    }

    /// The health after a ticket was read whose move should have been announced; `None` if it needs no write.
    pub fn record_move(&self, moved_at: Timestamp, now: Timestamp) -> Option<Self> {
        let last = self.installed?.max(self.delivered.unwrap_or_default());
        let is_missed = moved_at > last.plus(MAX_DELAY) && now > moved_at.plus(MAX_DELAY);
        (is_missed && self.missed.is_none()).then(|| Self { missed: Some(moved_at), ..self.clone() })
    }
}

impl PollProgress {
    pub fn starting_at(since: Timestamp) -> Self {
        Self { since: Some(since), ..Self::default() }
    }

    /// Begins again in another project or team of a ticket tool. An older version of the program stored no scope.
    pub fn enter_scope(&mut self, scope: &str, now: Timestamp) {
        if self.since.is_none() || !self.scope.is_empty() && self.scope != scope {
            *self = Self { issues: Some(now.minus(LOOK_BACK)), ..Self::starting_at(now) };
        }
        scope.clone_into(&mut self.scope);
    }

    /// Whether this round also compares open pull requests that are not in the forge's list of changes.
    pub fn is_full_due(&self, kind: ForgeKind, now: Timestamp) -> bool {
        self.began.is_some() || self.since.is_none_or(|since| now.since(since) >= kind.spec().polling.full_comparison)
    }

    /// Like `since`, but the list of changes also counts once all its pull requests are compared.
    pub fn complete_until(&self) -> Option<Timestamp> {
        let is_done = self.began.is_none() && self.problem.is_none() && self.changed.is_empty();
        if is_done { self.listed.max(self.since) } else { self.since }
    }
}

/// How often a repository is polled.
pub fn poll_interval(ingress: Ingress, kind: ForgeKind) -> Duration {
    match ingress {
        Ingress::Poll | Ingress::Both => kind.spec().polling.interval,
        Ingress::Webhook => RECOVERY_INTERVAL,
    }
}

/// Returns `every minute` or `every 5 minutes`.
pub fn describe_poll_interval(ingress: Ingress, kind: ForgeKind) -> String {
    match poll_interval(ingress, kind).as_secs() / 60 {
        0 | 1 => "every minute".into(),
        minutes => format!("every {minutes} minutes"),
    }
}
