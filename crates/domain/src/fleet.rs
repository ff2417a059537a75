//! Explains why a Ready job waits for a self-hosted runner.

use crate::breaker::{Breaker, breaker_ids, longest_delay};
use crate::job::Job;
use crate::project::{Compute, Settings};
use crate::runner::{Presence, Profile, Runner};
use crate::select::{ClassRequirements, join_labels, matches};
use crate::text::{Cause, Span};
use crate::time::Timestamp;
use crate::wait::Wait;
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub runner: Runner,
    pub profile: Profile,
}

#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a> {
    pub members: &'a [Member],
    pub requirements: &'a ClassRequirements,
    /// The current ones of the job's project.
    pub settings: &'a Settings,
    /// How many jobs of its class are claimed before it.
    pub jobs_ahead: u64,
    pub breakers: &'a [Breaker],
}

impl Fleet<'_> {
    pub fn wait_reason(&self, job: &Job, now: Timestamp) -> Wait {
        let wait = self.obstacle(job, now);
        let labels = &self.requirements.labels;
        let overflow = job.ready_since.plus(self.settings.overflow_after());
        let lacks_runner = matches!(
            wait,
            Wait::NoRunner { .. }
                | Wait::NoOnlineRunner { .. }
                | Wait::NoCapability { .. }
                | Wait::NoLabel { .. }
                | Wait::SlotsBusy { .. }
                | Wait::RunnersPaused { .. }
        );
        if self.settings.compute != Compute::RunnersThenFargate || !lacks_runner {
            return wait;
        }
        // The part after the semicolon is about the current moment.
        let sentence = wait.sentence();
        let reason = || Cause(sentence.split(';').next().unwrap_or_default().trim_end_matches('.').to_owned());
        if labels.is_empty() {
            return Wait::OverflowSoon { reason: reason(), time: overflow };
        }
        // Earlier, or with other advice, the obstacle itself says more.
        match wait {
            Wait::SlotsBusy { .. } | Wait::NoOnlineRunner { .. } if now >= overflow => Wait::OverflowImpossible {
                reason: reason(),
                labels: Cause(join_labels(labels)),
                all: join_with_commas(labels),
            },
            wait => wait,
        }
    }

    fn obstacle(&self, job: &Job, now: Timestamp) -> Wait {
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
            return self.label_wait(&capable);
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

    /// Names the required labels that no capable runner has, else those that the best match lacks.
    fn label_wait(&self, capable: &[&Member]) -> Wait {
        let required = &self.requirements.labels;
        let is_missing = |label: &&String| capable.iter().all(|member| !member.profile.labels.contains(*label));
        let mut missing = required.iter().filter(is_missing).collect::<Vec<_>>();
        if missing.is_empty() {
            let best = capable.iter().min_by_key(|member| required.difference(&member.profile.labels).count());
            missing.extend(best.into_iter().flat_map(|member| required.difference(&member.profile.labels)));
        }
        let of_project = missing.iter().filter(|label| self.settings.labels.contains(**label)).count();
        let origin = match of_project {
            0 => "its repository, ticket or request",
            n if n == missing.len() => "the setting `labels`",
            _ => "the setting, repository, ticket or request",
        };
        let labels = Cause(missing.into_iter().map(String::as_str).collect::<Vec<_>>().join(","));
        Wait::NoLabel { labels, origin: origin.into(), all: join_with_commas(required) }
    }
}

/// As the flag `--labels` takes them.
fn join_with_commas(labels: &BTreeSet<String>) -> Cause {
    Cause(labels.iter().map(String::as_str).collect::<Vec<_>>().join(","))
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
