//! Limits of the jobs that run at once, per project and per repository.
//! Until it gets a place, a Ready job of a limited project or repository is hidden from runners and the dispatcher.
//!
//! A job needs a place to start and to run: `Job::takes_place`. One item has the places of a project and their holders.
//! Only the transaction that ends a job's wait gives it a place, so no limit is exceeded.
//! The state of a job decides whether it still needs its place, so a crash loses no place: the dispatcher removes the
//! holder at the job's hint, and the sweeper compares all holders with their jobs.

use crate::job::{Job, JobStatus, WAKE_TIMEOUT};
use crate::project::{Project, Repository};
use crate::text::id::{IntegrationId, JobId, ProjectId};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Jobs that get a place in one write.
pub const MAX_PLACED: usize = 10;

/// Time between two counts of a project's jobs. After a change of the limits, the second count follows sooner, because
/// a job may be created under the old limits at the same time.
const COUNT_INTERVAL: Duration = Duration::from_secs(3_600);
const SECOND_COUNT_AFTER: Duration = Duration::from_secs(60);

/// The configured limits of a project and its repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningLimits {
    pub project: Option<u32>,
    /// By `repository_key`.
    pub repositories: BTreeMap<String, u32>,
}

/// The places of a project, each with the job that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    pub project: ProjectId,
    pub holders: BTreeMap<JobId, Holder>,
    /// The limits at the last count of the project's jobs.
    pub limits: RunningLimits,
    pub next_count: Timestamp,
    pub rev: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its `repository_key`.
    pub repository: String,
    pub since: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitScope {
    Project,
    Repository,
}

/// The use of one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitUse<'a> {
    pub scope: LimitScope,
    pub max: u32,
    pub taken: usize,
    /// The job that holds its place longest.
    pub oldest: Option<&'a JobId>,
}

pub fn repository_key(integration: &IntegrationId, repository: u64) -> String {
    format!("{integration}#{repository}")
}

impl RunningLimits {
    pub fn new<'a>(project: &Project, repositories: impl IntoIterator<Item = &'a Repository>) -> Self {
        let limit = |it: &Repository| Some((repository_key(&it.integration, it.id), it.running_jobs?));
        let repositories = repositories.into_iter().filter_map(limit).collect();
        Self { project: project.settings.limits.running_jobs, repositories }
    }

    pub fn is_empty(&self) -> bool {
        self.project.is_none() && self.repositories.is_empty()
    }

    fn apply_to(&self, job: &Job) -> bool {
        self.project.is_some() || self.repositories.contains_key(&job.repository_key())
    }
}

impl Job {
    pub fn repository_key(&self) -> String {
        repository_key(&self.integration, self.repository)
    }

    /// Ready, but without a place. An older version may leave the mark on a job in another status.
    pub fn awaits_place(&self) -> bool {
        self.status == JobStatus::Ready && self.is_limited
    }

    /// Whether the job runs or may start.
    pub fn takes_place(&self) -> bool {
        self.status.is_active() || self.status == JobStatus::Ready && !self.is_limited
    }

    /// Whether the job got a place and no longer needs it, so that another job may start.
    pub fn has_left_its_place(&self) -> bool {
        self.is_placed && (self.status.is_suspended() || self.status.is_terminal())
    }

    /// Makes a Ready job wait for a place, if a limit applies and no task starts that could claim the job now.
    #[must_use]
    pub fn await_place(self, limits: &RunningLimits) -> Self {
        let waits = self.status == JobStatus::Ready && !self.dispatch.starting && limits.apply_to(&self);
        if waits { Self { is_limited: true, is_placed: false, ..self } } else { self }
    }

    fn take_place(&self, now: Timestamp) -> Self {
        let mut job = Self { is_limited: false, is_placed: true, ready_since: now, ..self.clone() };
        // The dispatcher starts a job that never started at once.
        job.dispatch.due = if job.dispatch.number > 0 { now } else { now.plus(WAKE_TIMEOUT) };
        job
    }
}

impl Places {
    /// The places of a project whose jobs were never counted.
    pub fn new(project: ProjectId) -> Self {
        let (holders, limits) = Default::default();
        Self { project, holders, limits, next_count: Timestamp::from_millis(0), rev: 0 }
    }

    fn uses<'a>(&'a self, limits: &RunningLimits, repository: &'a str) -> impl Iterator<Item = LimitUse<'a>> {
        let of_project = limits.project.map(|max| (LimitScope::Project, max));
        let own = limits.repositories.get(repository).map(|max| (LimitScope::Repository, *max));
        of_project.into_iter().chain(own).map(move |(scope, max)| {
            let counts = |holder: &Holder| scope == LimitScope::Project || holder.repository == repository;
            let holders = || self.holders.iter().filter(|(_, holder)| counts(holder));
            let oldest = holders().min_by_key(|(_, holder)| holder.since).map(|(job, _)| job);
            LimitUse { scope, max, taken: holders().count(), oldest }
        })
    }

    /// The free places for jobs of a repository.
    pub fn room(&self, limits: &RunningLimits, repository: &str) -> usize {
        let free = |limit: LimitUse<'_>| (limit.max as usize).saturating_sub(limit.taken);
        self.uses(limits, repository).map(free).min().unwrap_or(usize::MAX)
    }

    /// The first limit that is full for jobs of a repository.
    pub fn first_full<'a>(&'a self, limits: &RunningLimits, repository: &'a str) -> Option<LimitUse<'a>> {
        self.uses(limits, repository).find(|limit| limit.taken >= limit.max as usize)
    }

    /// Gives places to the first jobs that fit into all their limits, and returns these jobs.
    #[must_use]
    pub fn fill(&mut self, limits: &RunningLimits, mut waiting: Vec<Job>, now: Timestamp) -> Vec<Job> {
        waiting.retain(Job::awaits_place);
        waiting.sort_by(|a, b| (a.order(), &a.id).cmp(&(b.order(), &b.id)));
        let mut placed = Vec::new();
        for job in &waiting {
            let repository = job.repository_key();
            if placed.len() < MAX_PLACED && self.room(limits, &repository) > 0 {
                if limits.apply_to(job) {
                    self.holders.insert(job.id.clone(), Holder { repository, since: now });
                }
                placed.push(job.take_place(now));
            }
        }
        placed
    }

    /// Removes each holder whose job is not in `jobs` or no longer needs a place.
    pub fn retain_holders(&mut self, jobs: &[Job]) {
        let takes_place: BTreeMap<_, _> = jobs.iter().map(|job| (&job.id, job.takes_place())).collect();
        self.holders.retain(|id, _| takes_place.get(id) == Some(&true));
    }

    /// Applies the holders that a count added or removed between `before` and `after` to these places.
    pub fn apply_changes(&mut self, before: &Self, after: &Self) {
        let is_gone =
            |id: &JobId, holder: &Holder| before.holders.get(id) == Some(holder) && !after.holders.contains_key(id);
        self.holders.retain(|id, holder| !is_gone(id, holder));
        for (id, holder) in after.holders.iter().filter(|(id, _)| !before.holders.contains_key(id)) {
            self.holders.entry(id.clone()).or_insert_with(|| holder.clone());
        }
    }

    pub fn is_count_due(&self, limits: &RunningLimits, now: Timestamp) -> bool {
        self.limits != *limits || !limits.is_empty() && self.next_count <= now
    }

    /// Counts a job that became Ready before a limit was set. If it can still wait, returns the waiting job to store;
    /// otherwise the job becomes a holder, even above the limit.
    pub fn count(&mut self, limits: &RunningLimits, job: &Job) -> Option<Job> {
        if !limits.apply_to(job) || !job.takes_place() || self.holders.contains_key(&job.id) {
            return None;
        }
        let waiting = job.clone().await_place(limits);
        if waiting.awaits_place() {
            return Some(waiting);
        }
        self.holders.insert(job.id.clone(), Holder { repository: job.repository_key(), since: job.ready_since });
        None
    }

    pub fn end_count(&mut self, limits: RunningLimits, now: Timestamp) {
        let after = if self.limits == limits { COUNT_INTERVAL } else { SECOND_COUNT_AFTER };
        (self.next_count, self.limits) = (now.plus(after), limits);
    }
}

#[cfg(test)]
mod tests;
