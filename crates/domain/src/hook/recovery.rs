//! Deliveries that did not arrive: which of them are asked for again, and when one is given up.
//!
//! A forge keeps what it sent for three days, and sends nothing twice by itself. The list has one row for
//! every try, newest first; the tries of one delivery share a `guid`. A row may be listed only once its try is over,
//! dated back to where that began: behind quicker ones that began later.

use super::RECOVER_EVERY;
use crate::id::ProjectId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a forge keeps deliveries.
pub const KEPT: Duration = Duration::from_secs(3 * 24 * 3_600);

/// How long after it began a try may be listed at the latest: that long before the newest one the list is read again.
///
/// GitHub waits ten seconds for an answer. The rest is for a list that is behind, and for machines of a forge whose
/// clocks are apart; a minute's rows once more are few beside the five minutes that a round reads.
pub const LISTED_WITHIN: Duration = Duration::from_secs(60);

/// How often a delivery is asked for again at most.
pub const MOST_ASKED: u8 = 3;

/// How long after it was asked for once, and twice, it is asked for again: an outage of our own may last.
const REST: [Duration; MOST_ASKED as usize - 1] = [Duration::from_secs(3_600), Duration::from_secs(24 * 3_600)];

/// How many deliveries are followed at once; the table's item must stay small.
pub const MOST_FOLLOWED: usize = 200;

/// How many of them are asked for in one round.
pub const MOST_PER_ROUND: usize = 50;

/// How many pull requests are kept that were opened again and are still to be compared: the table's item must stay
/// small.
pub const MOST_AGAIN: usize = 100;

/// How far what a hook should have told is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// When it is looked at next; at once when it never was.
    #[serde(default)]
    pub next: Timestamp,
    /// The newest try that was looked at. Versions before this one stop there, so that either reads what the other
    /// left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Seen>,
    /// Deliveries that did not arrive yet, by their `guid`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<String, Missing>,
    #[serde(default)]
    pub given_up: u64,
    /// Why the list could not be read the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How far the comparison with open pull requests got.
    #[serde(default)]
    pub look: Look,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The forge's id of it.
    pub id: u64,
    pub at: Timestamp,
}

/// A delivery that did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub id: u64,
    /// When it was tried first, as far as we know.
    pub at: Timestamp,
    pub event: String,
    pub asked: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
}

/// How far the comparison of open pull requests with what their forge says got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Everything that was submitted before this has been seen; none before the first whole round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// Where it goes on, if a round is under way. Versions before this one had another name for it: whichever meets a
    /// round of the other begins it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_on: Option<GoesOn>,
    /// Why a pull request could not be compared the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When the forge's list of open pull requests was read last. Its own time: a problem that lasts keeps `since`
    /// where it is, and the list would grow with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Timestamp>,
    /// Pull requests that the list says are open and that are closed as far as we know, by their numbers: those that
    /// are still to be compared, in their order. What was seen does not move on while there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<u64>,
}

/// Where a comparison goes on. By name: which projects there are, and in which order, may change until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoesOn {
    /// With this project, or the next one by name where it is gone.
    pub project: ProjectId,
    /// After this row of its list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Look {
    /// The projects that are still to be compared, by name, and after which row of the first one's list.
    ///
    /// One that is added while a round is under way may be left to the next: what is submitted since is seen then.
    pub fn left<'a>(&self, projects: impl IntoIterator<Item = &'a ProjectId>) -> (Vec<&'a ProjectId>, Option<String>) {
        let mut left: Vec<&ProjectId> = projects.into_iter().collect();
        left.sort_unstable();
        left.dedup();
        let Some(goes_on) = &self.goes_on else { return (left, None) };
        left.retain(|project| **project >= goes_on.project);
        let is_there = left.first().is_some_and(|first| **first == goes_on.project);
        (left, goes_on.after.clone().filter(|_| is_there))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    pub id: u64,
    pub guid: String,
    pub at: Timestamp,
    pub arrived: bool,
    pub event: String,
}

impl Recovery {
    /// Whether a row, and with it everything older, was looked at before, and nothing can be listed behind it any more.
    pub fn knows(&self, tried: &Tried, now: Timestamp) -> bool {
        self.reads_from().is_some_and(|from| tried.at < from) || now.since(tried.at) > KEPT
    }

    /// From where on the list is read, also where it was read before; everything before the first round.
    fn reads_from(&self) -> Option<Timestamp> {
        self.cursor.as_ref().map(|seen| seen.at.minus(LISTED_WITHIN))
    }

    /// Looks at everything again that was tried or submitted since then, and asks for it as if it never had been; what
    /// is older and known stays as it is.
    ///
    /// A look at pull requests that was under way begins anew: what it compared, it compared with a later time. Where
    /// none was whole yet, it begins at `since` or where the hook was `created`, whichever is earlier.
    pub fn from(&mut self, since: Timestamp, created: Timestamp) {
        if let Some(seen) = self.cursor.as_mut().filter(|seen| since <= seen.at) {
            *seen = Seen { id: 0, at: since };
        }
        self.missing.retain(|_, missing| missing.at < since);
        let seen = self.look.since.unwrap_or(created);
        self.look = Look { since: Some(seen.min(since)), ..Look::default() };
    }

    /// What is to be asked for again, with what is known then. The rows are newest first, down to what was
    /// known before: the last of them were looked at before as well, but for those that were not listed then.
    ///
    /// A row that is read again changes nothing: its delivery is followed, or has arrived by a try that is read with
    /// it. What found no room is counted once it is read no more, and until then it may find some.
    ///
    /// Whoever asks stores what is known first: killed in between, one try of the three is lost, and never
    /// is one made too many.
    pub fn take_stock(&self, rows: &[Tried], now: Timestamp) -> (Self, Vec<u64>) {
        let mut next = self.clone();
        next.next = now.plus(RECOVER_EVERY);
        next.problem = None;
        let newest = rows.iter().map(|row| Seen { id: row.id, at: row.at }).chain(next.cursor.take());
        next.cursor = newest.max_by_key(|seen| (seen.at, seen.id));
        let from = next.reads_from();
        let is_read_again = |row: &Tried| from.is_some_and(|from| row.at >= from);
        let arrived: BTreeSet<&str> = rows.iter().filter(|row| row.arrived).map(|row| row.guid.as_str()).collect();
        next.missing.retain(|guid, _| !arrived.contains(guid.as_str()));
        // Oldest first, so that the newest try is the one that stays.
        for row in rows.iter().rev().filter(|row| !arrived.contains(row.guid.as_str())) {
            let room = next.missing.len() < MOST_FOLLOWED;
            match next.missing.get_mut(&row.guid) {
                Some(missing) => missing.id = row.id,
                None if room => {
                    let missing =
                        Missing { id: row.id, at: row.at, event: row.event.clone(), asked: 0, asked_at: None };
                    next.missing.insert(row.guid.clone(), missing);
                }
                None if is_read_again(row) => {}
                None => next.given_up += 1,
            }
        }
        let all = next.missing.len();
        // One with a try that is read again would be found anew, and asked for as if it never had been.
        let again: BTreeSet<&str> = rows.iter().filter(|row| is_read_again(row)).map(|row| row.guid.as_str()).collect();
        next.missing.retain(|guid, missing| now.since(missing.at) <= KEPT || again.contains(guid.as_str()));
        next.given_up += u64::try_from(all - next.missing.len()).unwrap_or_default();
        let mut ask = Vec::new();
        let mut due: Vec<&mut Missing> = next.missing.values_mut().filter(|missing| missing.is_due(now)).collect();
        due.sort_by_key(|missing| missing.at);
        for missing in due.into_iter().take(MOST_PER_ROUND) {
            missing.asked += 1;
            missing.asked_at = Some(now);
            ask.push(missing.id);
        }
        (next, ask)
    }

    /// Those that were to be asked for again then and were not, since the forge stopped answering: no try was used up,
    /// and they have rested already. What another round asks for since is left alone.
    pub fn not_asked(&mut self, tries: &[u64], asked_at: Timestamp) {
        let is_of_then = |missing: &&mut Missing| tries.contains(&missing.id) && missing.asked_at == Some(asked_at);
        for missing in self.missing.values_mut().filter(is_of_then) {
            missing.asked = missing.asked.saturating_sub(1);
            let rested = usize::from(missing.asked).checked_sub(1).and_then(|at| REST.get(at));
            missing.asked_at = rested.map(|rest| asked_at.minus(*rest));
        }
    }
}

impl Missing {
    fn is_due(&self, now: Timestamp) -> bool {
        let rest = usize::from(self.asked).checked_sub(1).map_or(Some(Duration::ZERO), |at| REST.get(at).copied());
        // After the last try there is no rest to wait for.
        rest.is_some_and(|rest| self.asked_at.is_none_or(|at| now.since(at) >= rest))
    }
}
