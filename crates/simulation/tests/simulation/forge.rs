//! The forge: one repository of branches, its pull requests, and the reviewers who ask for changes on them. What it
//! tells of that comes late, twice, out of order, or never.

mod answers;

use crate::dice::Dice;
use pullyard_domain::time::Timestamp;
use std::collections::BTreeMap;

/// Under which name calls to it are known.
pub(crate) const FORGE: &str = "forge";

/// Where it is.
pub(crate) const URL: &str = "http://forge.simulated";

/// A commit of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) head: String,
    pub(crate) job: String,
    pub(crate) attempt: u64,
}

/// Somebody asks for changes.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    pub(crate) id: u64,
    /// The number of the pull request.
    pub(crate) pull: u64,
    pub(crate) at: Timestamp,
    /// What is told of it: the pull request as it was then.
    told: String,
}

#[derive(Debug, Default)]
pub(crate) struct Forge {
    /// Oldest commit first.
    pub(crate) branches: BTreeMap<String, Vec<Commit>>,
    /// The branches of pull requests; the first is number 1.
    pub(crate) pulls: Vec<String>,
    pub(crate) reviews: Vec<Review>,
    /// How many more there will be.
    pub(crate) left: usize,
    /// Which of them are still to be told.
    waiting: Vec<usize>,
    /// When a pull request's branch moved, or somebody reviewed it.
    changed: BTreeMap<String, Timestamp>,
}

impl Forge {
    pub(crate) fn head(&self, branch: &str) -> Option<&Commit> {
        self.branches.get(branch)?.last()
    }

    /// Puts a commit on a branch, if its head is the expected one.
    pub(crate) fn push(&mut self, branch: &str, expected: Option<&str>, commit: Commit, now: Timestamp) -> bool {
        if self.head(branch).map(|commit| commit.head.as_str()) != expected {
            return false;
        }
        self.branches.entry(branch.to_owned()).or_default().push(commit);
        self.changed.insert(branch.to_owned(), now);
        true
    }

    /// The pull request of a branch, the open one or a new one.
    pub(crate) fn pull(&mut self, branch: &str) -> u64 {
        let at = self.pulls.iter().position(|of| of == branch).unwrap_or_else(|| {
            self.pulls.push(branch.to_owned());
            self.pulls.len() - 1
        });
        at as u64 + 1
    }

    /// Which branch a pull request is of.
    pub(crate) fn branch_of(&self, number: u64) -> Option<&str> {
        self.pulls.get(usize::try_from(number).ok()?.checked_sub(1)?).map(String::as_str)
    }

    /// The commits of a job, wherever they are.
    pub(crate) fn commits_of(&self, job: &str) -> Vec<(&str, &Commit)> {
        let all =
            self.branches.iter().flat_map(|(branch, commits)| commits.iter().map(move |one| (branch.as_str(), one)));
        all.filter(|(_, commit)| commit.job == job).collect()
    }

    pub(crate) fn may_be_reviewed(&self) -> bool {
        self.left > 0 && !self.pulls.is_empty()
    }

    pub(crate) fn may_tell(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Somebody reviews some pull request; in so many of a hundred cases that is told twice, or never.
    pub(crate) fn review(&mut self, now: Timestamp, twice: u64, lost: u64, dice: &mut Dice) -> String {
        self.left -= 1;
        let pull = dice.below(self.pulls.len()) as u64 + 1;
        let times = if dice.percent(lost) { 0 } else { 1 + usize::from(dice.percent(twice)) };
        self.reviewed(pull, now, times)
    }

    /// Somebody reviews this pull request, and that is told so often.
    pub(crate) fn reviewed(&mut self, pull: u64, now: Timestamp, times: usize) -> String {
        let (at, id) = (self.reviews.len(), 101 + self.reviews.len() as u64);
        if let Some(branch) = self.branch_of(pull).map(str::to_owned) {
            self.changed.insert(branch, now);
        }
        let review = Review { id, pull, at: now, told: String::new() };
        let told = self.delivery(&review);
        self.reviews.push(Review { told, ..review });
        self.waiting.extend(std::iter::repeat_n(at, times));
        format!("review {id} of pull request {pull}, told {times} times")
    }

    /// Tells one of what is still to be told: what it is called, and its body.
    pub(crate) fn tell(&mut self, dice: &mut Dice) -> (String, String) {
        // Mostly in order.
        let at = if dice.percent(70) { 0 } else { dice.below(self.waiting.len()) };
        let review = &self.reviews[self.waiting.remove(at)];
        (format!("review-{}", review.id), review.told.clone())
    }
}
