//! How far a connected repository was compared with its forge.

use super::{Ingress, POLL_EVERY, RECOVER_EVERY};
use crate::project::ForgeKind;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How many changed pull requests wait for their comparison at most: the table's item must stay small.
pub const MOST_CHANGED: usize = 100;

/// How often every open pull request of a GitHub repository is compared. GitHub does not document that a review moves
/// a pull request up in the list of changes.
const FULL_EVERY: Duration = Duration::from_secs(3_600);

/// How far a repository was compared with its forge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Everything submitted before this was seen. Set when the repository is connected, and by every full comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When the full comparison that is under way began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// The row of the project's open pull requests after which it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Why something could not be compared the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When the forge's list of changed pull requests was last read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Timestamp>,
    /// Numbers of changed pull requests that are still to be compared, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<u64>,
}

impl Look {
    pub fn from(since: Timestamp) -> Self {
        Self { since: Some(since), ..Self::default() }
    }

    /// Whether this round also compares the open pull requests that the forge's list does not name. Bitbucket does not
    /// list a pull request as changed when somebody requests changes.
    pub fn is_full_due(&self, kind: ForgeKind, now: Timestamp) -> bool {
        self.began.is_some()
            || match kind {
                ForgeKind::Bitbucket => true,
                ForgeKind::GitHub => self.since.is_none_or(|since| now.since(since) >= FULL_EVERY),
            }
    }

    /// Everything submitted before this was seen. The list of changes counts while nothing is left to compare.
    pub fn seen_until(&self) -> Option<Timestamp> {
        let is_done = self.began.is_none() && self.problem.is_none() && self.changed.is_empty();
        if is_done { self.listed.max(self.since) } else { self.since }
    }
}

/// How often a repository is looked at: every minute without a webhook, where the forge's request limit allows it.
/// Bitbucket takes 1,000 requests an hour, and a look sends several for each open pull request.
pub fn look_every(ingress: Ingress, kind: ForgeKind) -> Duration {
    match (ingress, kind) {
        (Ingress::Poll | Ingress::Both, ForgeKind::GitHub) => POLL_EVERY,
        _ => RECOVER_EVERY,
    }
}
