//! The forge's pull requests, and how they are closed, merged and reopened.

use super::{Forge, Webhook, delivery_count};
use crate::prelude::*;
use pullyard_domain::review::pull_request::PullRequestState;

#[derive(Clone, Debug)]
pub(crate) struct PullRequest {
    pub(crate) branch: String,
    /// The time of the last push, review, close or reopen.
    pub(crate) updated_at: Timestamp,
    pub(crate) state: PullRequestState,
    reopened_at: Option<Timestamp>,
}

impl PullRequest {
    pub(crate) fn is_open(&self) -> bool {
        self.state == PullRequestState::Open
    }

    pub(crate) fn is_open_since(&self, at: Timestamp) -> bool {
        self.is_open() && self.reopened_at.is_none_or(|reopened| reopened < at)
    }
}

impl Forge {
    pub(super) fn pull_mut(&mut self, number: u64) -> Option<&mut PullRequest> {
        self.pulls.get_mut(index(number)?)
    }

    pub(crate) fn pull(&self, number: u64) -> Option<&PullRequest> {
        self.pulls.get(index(number)?)
    }

    pub(super) fn latest_first(&self) -> impl Iterator<Item = u64> {
        let mut numbers: Vec<u64> = (1..=self.pulls.len() as u64).collect();
        numbers.sort_by_key(|number| std::cmp::Reverse(self.pull(*number).map(|pull| pull.updated_at)));
        numbers.into_iter()
    }

    pub(crate) fn open_pull(&self, branch: &str) -> Option<u64> {
        let at = self.pulls.iter().position(|pull| pull.branch == branch && pull.is_open())?;
        Some(at as u64 + 1)
    }

    pub(crate) fn find_or_open(&mut self, branch: &str, now: Timestamp) -> u64 {
        self.open_pull(branch).unwrap_or_else(|| {
            let (branch, state) = (branch.to_owned(), PullRequestState::Open);
            self.pulls.push(PullRequest { branch, updated_at: now, state, reopened_at: None });
            self.pulls.len() as u64
        })
    }

    /// Closes, merges or reopens a random pull request. `twice` and `lost` are the percentages of doubled and lost
    /// webhooks.
    pub(crate) fn change_state(
        &mut self,
        now: Timestamp,
        twice: u64,
        lost: u64,
        dice: &mut SeededRng,
    ) -> Option<String> {
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
        (pull.state, pull.updated_at) = (state, now);
        if pull.is_open() {
            pull.reopened_at = Some(now);
        }
        self.state_changes += 1;
        let name = format!("turn-{}", self.state_changes);
        let webhook = Webhook { name, event: "pull_request", body: self.pull_request_webhook_body(number, action) };
        let times = delivery_count(twice, lost, dice);
        self.pending_webhooks.extend(std::iter::repeat_n(webhook, times));
        Some(format!("pull request {number} is {}, told {times} times", state.display_name()))
    }
}

fn index(number: u64) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(1)
}
