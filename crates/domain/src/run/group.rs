//! The group of a run: at most `limit` of the project's runs with the same group work at once.
//!
//! One item lists the runs that hold a place and the waiting runs. A run gets its place only in the transaction that
//! lists it, so no limit is exceeded. A run that ends removes itself from the list; if an older program ended it, the
//! next run removes it.

use super::{Run, RunState, WorkLeft};
use crate::project::plan::{Concurrency, Plan};
use crate::text::id::{ProjectId, RunId};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A further run is refused.
pub const MAX_WAITING_RUNS: usize = 400;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub project: ProjectId,
    pub name: String,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub holders: BTreeSet<RunId>,
    /// With their orders: the lowest gets the next place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting: BTreeMap<RunId, i64>,
    pub changed: Timestamp,
    #[serde(default)]
    pub rev: u64,
}

/// A group as the table has it, and without the listed runs that have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFacts {
    pub(super) stored: Group,
    pub(super) live: Group,
}

impl Concurrency {
    pub fn limit(&self) -> usize {
        self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(1)
    }
}

impl Group {
    pub fn new(project: ProjectId, name: String, now: Timestamp) -> Self {
        Self { project, name, holders: BTreeSet::new(), waiting: BTreeMap::new(), changed: now, rev: 0 }
    }

    /// The group with a run that waits from now on. `None`: too many wait.
    pub fn with_waiting(&self, run: &Run, plan: &Plan) -> Option<Self> {
        let mut next = Self { changed: run.since, ..self.clone() };
        next.waiting.insert(run.id.clone(), plan.priority.unwrap_or_default().order(run.since));
        (next.waiting.len() <= MAX_WAITING_RUNS).then_some(next)
    }

    pub(super) fn remove(&mut self, run: &RunId) {
        self.holders.remove(run);
        self.waiting.remove(run);
    }

    pub(super) fn in_order(&self) -> Vec<&RunId> {
        let mut runs: Vec<_> = self.waiting.iter().map(|(run, order)| (order, run)).collect();
        runs.sort();
        runs.into_iter().map(|(_, run)| run).collect()
    }

    /// The waiting runs for which places are free, in their order.
    pub fn next_runs(&self, limit: usize) -> Vec<RunId> {
        let free = limit.saturating_sub(self.holders.len());
        self.in_order().into_iter().take(free).cloned().collect()
    }

    /// The runs whose states decide whether a place is free: all that hold one, and the first that wait.
    pub fn first_runs(&self, limit: usize) -> Vec<RunId> {
        self.holders.iter().chain(self.in_order().into_iter().take(limit)).cloned().collect()
    }
}

impl GroupFacts {
    /// `runs`: the existing runs of `asked`.
    pub fn new(stored: Group, asked: &[RunId], runs: &[Run]) -> Self {
        let is_listed = |id: &RunId| {
            let run = runs.iter().find(|run| run.id == *id && run.state == RunState::Running);
            run.is_some_and(|run| run.has_place() || stored.waiting.contains_key(id))
        };
        let mut live = stored.clone();
        asked.iter().filter(|id| !is_listed(id)).for_each(|id| live.remove(id));
        Self { stored, live }
    }
}

impl Run {
    /// Whether it may start jobs as a run of its group.
    pub fn has_place(&self) -> bool {
        self.placed == Some(self.since)
    }

    /// The group for whose place it waits. An older program may have started a job without one.
    pub fn awaited_group(&self) -> Option<&str> {
        let is_idle = self.open_jobs().next().is_none();
        let waits = self.state == RunState::Running && self.left == Some(WorkLeft::Group) && is_idle;
        self.group.as_deref().filter(|_| waits)
    }
}

#[cfg(test)]
mod tests;
