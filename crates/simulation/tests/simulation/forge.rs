//! Simulates the forge: branches, pull requests, reviews, and users who close, merge and reopen.
//! Its webhooks arrive late, twice, out of order, or never.

mod answers;
mod pulls;

pub(crate) use pulls::PullRequest;

use crate::prelude::*;
use std::collections::VecDeque;

/// The service name of calls to the forge.
pub(crate) const FORGE: &str = "forge";

pub(crate) const URL: &str = "http://forge.simulated";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) head: String,
    pub(crate) job: String,
    pub(crate) attempt: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Review {
    /// From 101 on.
    pub(crate) id: u64,
    pub(crate) pull: u64,
    pub(crate) at: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) name: String,
    pub(crate) event: &'static str,
    pub(crate) body: String,
}

#[derive(Debug, Default)]
pub(crate) struct Forge {
    pub(crate) branches: BTreeMap<String, Vec<Commit>>,
    /// The first is number 1.
    pub(crate) pulls: Vec<PullRequest>,
    pub(crate) reviews: Vec<Review>,
    pub(crate) remaining_reviews: usize,
    /// Deliveries still to send.
    pending_webhooks: VecDeque<Webhook>,
    state_changes: usize,
}

impl Forge {
    pub(crate) fn head(&self, branch: &str) -> Option<&Commit> {
        self.branches.get(branch)?.last()
    }

    pub(crate) fn push(&mut self, branch: &str, expected: Option<&str>, commit: Commit, now: Timestamp) -> bool {
        if self.head(branch).map(|commit| commit.head.as_str()) != expected {
            return false;
        }
        self.branches.entry(branch.to_owned()).or_default().push(commit);
        for pull in self.pulls.iter_mut().filter(|pull| pull.branch == branch && pull.is_open()) {
            pull.updated_at = now;
        }
        true
    }

    pub(crate) fn commits_of(&self, job: &str) -> Vec<(&str, &Commit)> {
        let branches = self.branches.iter();
        let all = branches.flat_map(|(branch, commits)| commits.iter().map(move |commit| (branch.as_str(), commit)));
        all.filter(|(_, commit)| commit.job == job).collect()
    }

    pub(crate) fn may_be_reviewed(&self) -> bool {
        self.remaining_reviews > 0 && !self.pulls.is_empty()
    }

    pub(crate) fn has_pending_webhook(&self) -> bool {
        !self.pending_webhooks.is_empty()
    }

    pub(crate) fn review(&mut self, now: Timestamp, twice: u64, lost: u64, dice: &mut SeededRng) -> String {
        self.remaining_reviews -= 1;
        let pull = dice.below(self.pulls.len()) as u64 + 1;
        let times = delivery_count(twice, lost, dice);
        let id = 101 + self.reviews.len() as u64;
        if let Some(of) = self.pull_mut(pull) {
            of.updated_at = now;
        }
        self.reviews.push(Review { id, pull, at: now });
        let body = self.review_webhook_body();
        let webhook = Webhook { name: format!("review-{id}"), event: "pull_request_review", body };
        self.pending_webhooks.extend(std::iter::repeat_n(webhook, times));
        format!("review {id} of pull request {pull}, told {times} times")
    }

    pub(crate) fn take_webhook(&mut self, dice: &mut SeededRng) -> Webhook {
        // Mostly in order.
        let at = if dice.percent(70) { 0 } else { dice.below(self.pending_webhooks.len()) };
        self.pending_webhooks.remove(at).unwrap()
    }
}

fn delivery_count(twice: u64, lost: u64, dice: &mut SeededRng) -> usize {
    if dice.percent(lost) { 0 } else { 1 + usize::from(dice.percent(twice)) }
}
