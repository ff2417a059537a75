//! Computes score, staleness and waiting side from the activity on an item. Bots do not count.

use crate::text::code::coded_enum;
use crate::text::time::{Timestamp, WireTime};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3_600);
const STALE_AFTER: Duration = DAY.saturating_mul(7);
const ABANDONED_AFTER: Duration = DAY.saturating_mul(30);
/// Each count adds to the score up to this number.
const MAX_COUNTED: u32 = 20;

/// How an item was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// `None` for a bot or a deleted account.
    pub author: Option<String>,
    pub at: Timestamp,
    pub draft: bool,
    pub reactions: u32,
}

/// A comment or a review.
#[derive(Clone, Debug)]
pub struct Activity {
    /// `None` for a bot or a deleted account.
    pub author: Option<String>,
    pub at: Timestamp,
    pub kind: ActivityKind,
    pub reactions: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityKind {
    Comment,
    /// A review without a verdict.
    Review,
    Approval,
    ChangeRequest,
    /// A withdrawn verdict.
    Dismissed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signals {
    /// Users who opened, commented or reviewed.
    pub users: u32,
    /// Comments of users.
    pub comments: u32,
    /// Reviews of users.
    pub reviews: u32,
    /// Reactions to the text and to comments.
    pub reactions: u32,
    /// The last activity of a user.
    #[serde(with = "WireTime")]
    pub last_at: Timestamp,
    /// Whether the author did that.
    pub last_by_author: bool,
    pub approval: Approval,
    pub draft: bool,
}

coded_enum! {
    /// The newest verdicts of a pull request's reviewers.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum Approval {
        None = "none", "not reviewed";
        Approved = "approved", "approved";
        ChangesRequested = "changes_requested", "changes requested";
    }
}

coded_enum! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum Staleness {
        /// A user acted within 7 days.
        Fresh = "fresh", "fresh";
        /// No user acted for 7 days.
        Stale = "stale", "stale";
        /// No user acted for 30 days.
        Abandoned = "abandoned", "abandoned";
    }
}

coded_enum! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum WaitingOn {
        Author = "author", "author";
        /// Or a maintainer, for an issue.
        Reviewer = "reviewer", "reviewer";
        /// Approved.
        None = "none", "no one";
    }
}

impl Signals {
    pub fn compute(opened: &Opened, activities: &[Activity]) -> Self {
        let count = |is: fn(&ActivityKind) -> bool| {
            let by_users = activities.iter().filter(|activity| activity.author.is_some());
            to_count(by_users.filter(|activity| is(&activity.kind)).count())
        };
        let mut by_time: Vec<_> = activities.iter().filter(|activity| activity.author.is_some()).collect();
        by_time.sort_by_key(|activity| activity.at);
        let users: BTreeSet<_> =
            by_time.iter().map(|activity| &activity.author).chain([&opened.author]).flatten().collect();
        let mut verdicts = BTreeMap::new();
        for activity in &by_time {
            match activity.kind {
                ActivityKind::Approval | ActivityKind::ChangeRequest => {
                    verdicts.insert(&activity.author, activity.kind);
                }
                ActivityKind::Dismissed => drop(verdicts.remove(&activity.author)),
                ActivityKind::Comment | ActivityKind::Review => {}
            }
        }
        let approval = if verdicts.values().any(|verdict| *verdict == ActivityKind::ChangeRequest) {
            Approval::ChangesRequested
        } else if verdicts.is_empty() {
            Approval::None
        } else {
            Approval::Approved
        };
        let last = by_time.last().filter(|last| last.at >= opened.at);
        Self {
            users: to_count(users.len()),
            comments: count(|kind| *kind == ActivityKind::Comment),
            reviews: count(|kind| *kind != ActivityKind::Comment),
            reactions: activities.iter().map(|activity| activity.reactions).fold(opened.reactions, u32::saturating_add),
            last_at: last.map_or(opened.at, |last| last.at),
            last_by_author: last.is_none_or(|last| last.author == opened.author),
            approval,
            draft: opened.draft,
        }
    }

    pub fn score(&self) -> u32 {
        let [users, reviews, comments, reactions] =
            [self.users, self.reviews, self.comments, self.reactions].map(|count| count.min(MAX_COUNTED));
        3 * users + 2 * reviews + comments + reactions
    }

    pub fn staleness(&self, now: Timestamp) -> Staleness {
        match now.since(self.last_at) {
            age if age >= ABANDONED_AFTER => Staleness::Abandoned,
            age if age >= STALE_AFTER => Staleness::Stale,
            _ => Staleness::Fresh,
        }
    }

    pub fn waiting_on(&self) -> WaitingOn {
        match self.approval {
            _ if self.draft => WaitingOn::Author,
            Approval::Approved => WaitingOn::None,
            _ if self.last_by_author => WaitingOn::Reviewer,
            Approval::None | Approval::ChangesRequested => WaitingOn::Author,
        }
    }
}

fn to_count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ActivityKind::{Approval as Approves, ChangeRequest, Comment, Dismissed, Review};

    const AUTHOR: &str = "ann";

    fn at(day: u64) -> Timestamp {
        Timestamp::from_millis(1_795_154_400_000).plus(DAY.saturating_mul(u32::try_from(day).unwrap()))
    }

    fn activity(day: u64, author: &str, kind: ActivityKind) -> Activity {
        Activity { author: (author != "bot").then(|| author.to_owned()), at: at(day), kind, reactions: 1 }
    }

    fn compute(draft: bool, activities: &[(u64, &str, ActivityKind)]) -> Signals {
        let opened = Opened { author: Some(AUTHOR.into()), at: at(0), draft, reactions: 2 };
        let activities: Vec<_> = activities.iter().map(|(day, author, kind)| activity(*day, author, *kind)).collect();
        Signals::compute(&opened, &activities)
    }

    #[test]
    fn bots_count_in_no_signal() {
        let signals =
            compute(false, &[(1, "ben", Comment), (2, "cat", Review), (3, "bot", Comment), (4, "bot", Approves)]);
        assert_eq!((signals.users, signals.comments, signals.reviews, signals.reactions), (3, 1, 1, 6));
        assert_eq!((signals.last_at, signals.approval), (at(2), Approval::None));
        assert_eq!(signals.score(), 3 * 3 + 2 + 1 + 6);
    }

    #[test]
    fn each_count_adds_at_most_twenty_to_the_score() {
        let many = Signals { users: 99, comments: 99, reviews: 99, reactions: 99, ..compute(false, &[]) };
        assert_eq!(many.score(), 3 * 20 + 2 * 20 + 20 + 20);
    }

    #[test]
    fn item_waits_for_the_side_that_acted_earlier() {
        for (draft, activities, approval, waiting_on) in [
            (false, vec![], Approval::None, WaitingOn::Reviewer),
            (true, vec![], Approval::None, WaitingOn::Author),
            (false, vec![(1, "ben", Comment)], Approval::None, WaitingOn::Author),
            (false, vec![(1, "ben", Comment), (2, AUTHOR, Comment)], Approval::None, WaitingOn::Reviewer),
            (false, vec![(1, "ben", ChangeRequest)], Approval::ChangesRequested, WaitingOn::Author),
            (
                false,
                vec![(1, "ben", ChangeRequest), (2, AUTHOR, Comment)],
                Approval::ChangesRequested,
                WaitingOn::Reviewer,
            ),
            (false, vec![(1, "ben", ChangeRequest), (2, "ben", Approves)], Approval::Approved, WaitingOn::None),
            (
                false,
                vec![(1, "ben", Approves), (2, "cat", ChangeRequest)],
                Approval::ChangesRequested,
                WaitingOn::Author,
            ),
            (false, vec![(1, "ben", Approves), (2, "ben", Dismissed)], Approval::None, WaitingOn::Author),
            (false, vec![(1, "bot", ChangeRequest)], Approval::None, WaitingOn::Reviewer),
        ] {
            let signals = compute(draft, &activities);
            assert_eq!((signals.approval, signals.waiting_on()), (approval, waiting_on), "{activities:?}");
        }
    }

    #[test]
    fn staleness_follows_the_last_activity_of_a_user() {
        let signals = compute(false, &[(10, "ben", Comment), (11, "bot", Comment)]);
        let just_before = |day: u64| at(day).minus(Duration::from_millis(1));
        for (now, expected) in [
            (at(0), Staleness::Fresh),
            (just_before(17), Staleness::Fresh),
            (at(17), Staleness::Stale),
            (just_before(40), Staleness::Stale),
            (at(40), Staleness::Abandoned),
        ] {
            assert_eq!(signals.staleness(now), expected, "{now}");
        }
    }
}
