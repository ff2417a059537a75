//! The forge's pull requests, and how they are closed, merged and reopened.

use super::{Forge, Told, times};
use pullyard_domain::pull_request::PullRequestState;
use pullyard_domain::time::Timestamp;
use pullyard_testkit::Dice;

#[derive(Clone, Debug)]
pub(crate) struct Pull {
    pub(crate) branch: String,
    /// The time of the last push, review, close or reopen.
    pub(crate) changed: Timestamp,
    pub(crate) state: PullRequestState,
    reopened: Option<Timestamp>,
}

impl Pull {
    pub(crate) fn is_open(&self) -> bool {
        self.state == PullRequestState::Open
    }

    /// Whether it has been open since then.
    pub(crate) fn is_open_since(&self, at: Timestamp) -> bool {
        self.is_open() && self.reopened.is_none_or(|reopened| reopened < at)
    }
}

impl Forge {
    pub(super) fn pull_mut(&mut self, number: u64) -> Option<&mut Pull> {
        self.pulls.get_mut(place(number)?)
    }

    pub(crate) fn pull(&self, number: u64) -> Option<&Pull> {
        self.pulls.get(place(number)?)
    }

    /// All numbers, the last changed first.
    pub(super) fn latest_first(&self) -> impl Iterator<Item = u64> {
        let mut numbers: Vec<u64> = (1..=self.pulls.len() as u64).collect();
        numbers.sort_by_key(|number| std::cmp::Reverse(self.pull(*number).map(|pull| pull.changed)));
        numbers.into_iter()
    }

    pub(crate) fn open_pull(&self, branch: &str) -> Option<u64> {
        let at = self.pulls.iter().position(|pull| pull.branch == branch && pull.is_open())?;
        Some(at as u64 + 1)
    }

    pub(crate) fn find_or_open(&mut self, branch: &str, now: Timestamp) -> u64 {
        self.open_pull(branch).unwrap_or_else(|| {
            let (branch, state) = (branch.to_owned(), PullRequestState::Open);
            self.pulls.push(Pull { branch, changed: now, state, reopened: None });
            self.pulls.len() as u64
        })
    }

    /// Closes, merges or reopens a random pull request. `twice` and `lost` are the percentages of doubled and lost
    /// webhooks.
    pub(crate) fn turn(&mut self, now: Timestamp, twice: u64, lost: u64, dice: &mut Dice) -> Option<String> {
        let at = dice.below(self.pulls.len());
        let number = at as u64 + 1;
        let (state, action) = match self.pulls[at].state {
            PullRequestState::Open if dice.percent(10) => (PullRequestState::Merged, "closed"),
            PullRequestState::Open => (PullRequestState::Closed, "closed"),
            // A branch has at most one open pull request.
            PullRequestState::Closed if self.open_pull(&self.pulls[at].branch).is_none() => {
                (PullRequestState::Open, "reopened")
            }
            PullRequestState::Closed | PullRequestState::Merged => return None,
        };
        let pull = &mut self.pulls[at];
        (pull.state, pull.changed) = (state, now);
        if pull.is_open() {
            pull.reopened = Some(now);
        }
        self.turns += 1;
        let name = format!("turn-{}", self.turns);
        let told = Told { name, event: "pull_request", body: self.delivery_of_turn(number, action) };
        let times = times(twice, lost, dice);
        self.waiting.extend(std::iter::repeat_n(told, times));
        Some(format!("pull request {number} is {}, told {times} times", state.display_name()))
    }
}

fn place(number: u64) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(1)
}
