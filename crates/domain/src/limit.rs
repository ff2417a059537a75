//! Limits of the jobs that run at once, per project and per repository.
//! A Ready job waits at a limit before runners and the dispatcher see it. It holds its places from its admission until it
//! ends or is suspended. It takes all its places in one transaction, so no job holds one while it waits for another.

use crate::id::{IntegrationId, JobId, ProjectId};
use crate::job::{Job, JobStatus, WAKE_TIMEOUT};
use crate::project::{Project, Repository};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub const MAX_PROJECT_LIMIT: u32 = 500;
pub const MAX_REPOSITORY_LIMIT: u32 = 100;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    Project,
    Repository,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LimitKey {
    pub project: ProjectId,
    pub repository: Option<(IntegrationId, u64)>,
}

/// The jobs that hold places of a limit. The number of places is a setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holders {
    /// Each job with its admission.
    pub holders: BTreeMap<JobId, Timestamp>,
}

/// The limits of a job that are set, each with its number of places.
pub type Limits = BTreeMap<LimitScope, u32>;

/// The limits of a project's jobs in this repository.
pub fn limits_of(project: &Project, repository: Option<&Repository>) -> Limits {
    let project = project.settings.limits.running_jobs.map(|max| (LimitScope::Project, max));
    let repository = repository.and_then(|it| it.running_jobs).map(|max| (LimitScope::Repository, max));
    project.into_iter().chain(repository).collect()
}

impl Holders {
    pub fn has_room(&self, job: &JobId, max: u32) -> bool {
        self.holders.contains_key(job) || u32::try_from(self.holders.len()).is_ok_and(|count| count < max)
    }
}

impl Job {
    pub fn limit_key(&self, scope: LimitScope) -> LimitKey {
        let repository = (scope == LimitScope::Repository).then(|| (self.integration.clone(), self.repository));
        LimitKey { project: self.project.clone(), repository }
    }

    /// Makes a Ready job without places wait, if limits are set.
    #[must_use]
    pub fn await_places(self, limits: &Limits) -> Self {
        let is_limited = self.status == JobStatus::Ready && self.holds.is_empty() && !limits.is_empty();
        Self { is_limited, ..self }
    }

    /// Admits a waiting job, which holds these places from now on. `None` if it does not wait.
    pub fn admit_to_places(&self, limits: &Limits, now: Timestamp) -> Option<Self> {
        let mut job = self.is_limited.then(|| self.clone())?;
        job.is_limited = false;
        job.holds = limits.keys().copied().collect();
        job.ready_since = now;
        job.dispatch.due = now.plus(WAKE_TIMEOUT);
        Some(job)
    }
}

/// The first of these waiting jobs, in order, that has room in all its limits.
pub fn first_admissible<'a>(
    waiting: impl IntoIterator<Item = (&'a Job, &'a Limits)>,
    holders: &BTreeMap<LimitKey, Holders>,
) -> Option<(&'a Job, &'a Limits)> {
    let is_free = |job: &Job, (scope, max): (&LimitScope, &u32)| {
        holders.get(&job.limit_key(*scope)).is_none_or(|limit| limit.has_room(&job.id, *max))
    };
    waiting.into_iter().find(|(job, limits)| job.is_limited && limits.iter().all(|limit| is_free(job, limit)))
}

#[cfg(test)]
mod tests;
