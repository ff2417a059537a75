//! Explains why a Ready job waits for a self-hosted runner.

use crate::breaker::{Breaker, breaker_ids, longest_delay};
use crate::job::Job;
use crate::runner::{Presence, Profile, Runner};
use crate::select::{ClassRequirements, matches};
use crate::text::Span;
use crate::time::Timestamp;
use crate::wait::Wait;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub runner: Runner,
    pub profile: Profile,
}

#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a> {
    pub members: &'a [Member],
    pub requirements: &'a ClassRequirements,
    /// How many jobs of its class are claimed before it.
    pub jobs_ahead: u64,
    pub breakers: &'a [Breaker],
}

impl Fleet<'_> {
    pub fn wait_reason(&self, job: &Job, now: Timestamp) -> Wait {
        let serving = self.members.iter().filter(|member| {
            member.runner.status != Presence::Deleting && member.profile.includes_project(&job.project)
        });
        let serving = serving.collect::<Vec<_>>();
        let Some(last) = serving.iter().map(|member| member.runner.last_heartbeat).max() else {
            return Wait::NoRunner { project: job.project.clone() };
        };
        let online = serving.into_iter().filter(|member| member.runner.is_online(now)).collect::<Vec<_>>();
        if online.is_empty() {
            return Wait::NoOnlineRunner { project: job.project.clone(), ago: now.since(last).into() };
        }
        let capability = &self.requirements.capability;
        let has_capability = |member: &&Member| member.profile.capabilities.contains(capability);
        let capable = online.iter().copied().filter(has_capability).collect::<Vec<_>>();
        if capable.is_empty() {
            return Wait::NoCapability { capability: capability.clone(), n: count(&online) };
        }
        let matching = capable.iter().copied().filter(|member| matches(self.requirements, &member.profile));
        let matching = matching.collect::<Vec<_>>();
        let Some(first) = matching.first() else {
            return Wait::NoLabel { label: self.missing_label(&capable) };
        };
        let accepting = matching.iter().filter(|member| !member.runner.is_draining()).collect::<Vec<_>>();
        if accepting.is_empty() {
            let updating = matching.iter().find(|member| member.runner.is_updating() && member.runner.drain.is_none());
            if let Some(member) = updating {
                return Wait::RunnerUpdates { name: member.profile.name.clone() };
            }
            return Wait::RunnersPaused { n: count(&matching), name: first.profile.name.clone() };
        }
        if accepting.iter().all(|member| member.runner.free_slots() == 0) {
            let total = accepting.iter().map(|member| u64::from(member.runner.max)).sum();
            return Wait::SlotsBusy { total, n: count(&accepting), m: self.jobs_ahead };
        }
        let free = accepting.iter().filter(|member| member.runner.free_slots() > 0);
        let free = free.map(|member| self.breaker_wait(job, member, now)).collect::<Option<Vec<_>>>();
        if let Some((wait, _)) = free.and_then(|free| free.into_iter().min_by_key(|(_, until)| *until)) {
            return wait;
        }
        Wait::StartingNow { ago: Span::from(now.since(job.ready_since)) }
    }

    /// The breaker that delays the job on this runner, and until when.
    fn breaker_wait(&self, job: &Job, member: &Member, now: Timestamp) -> Option<(Wait, Timestamp)> {
        let ClassRequirements { key, capability, .. } = self.requirements;
        let ids = breaker_ids(*key, capability, &job.project, Some(&member.runner.id));
        let relevant = self.breakers.iter().filter(|breaker| ids.contains(&breaker.id));
        longest_delay(relevant, &job.id, now).map(|(breaker, until)| (breaker.wait_reason(until), until))
    }

    /// The first required label that no capable runner has, else one that the best match lacks.
    fn missing_label(&self, capable: &[&Member]) -> String {
        let labels = &self.requirements.labels;
        let is_missing = |label: &&String| capable.iter().all(|member| !member.profile.labels.contains(*label));
        let missing = labels.iter().find(is_missing);
        let best = capable.iter().min_by_key(|member| labels.difference(&member.profile.labels).count());
        let lacks = best.and_then(|member| labels.difference(&member.profile.labels).next());
        missing.or(lacks).cloned().unwrap_or_default()
    }
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
