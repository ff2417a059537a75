//! Explains why a Ready job waits for a self-hosted runner.

use crate::agent::breaker::{breaker_ids, longest_delay};
use crate::agent::runner::{OFFLINE_AFTER, Presence, Profile, Runner};
use crate::job::Job;
use crate::job::select::{ClassRequirements, matches};
use crate::job::sweep::{ClassFacts, TaskObstacle};
use crate::project::Compute;
use crate::project::labels::{has_label, join_labels};
use crate::text::id::ProjectId;
use crate::text::time::Timestamp;
use crate::text::wait::Wait;
use crate::text::{Advice, Cause, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// The sweeper stores a larger fleet for views. Views read a smaller fleet from the items of its runners, so that a
/// command shows at once.
pub const SMALL_FLEET: usize = 50;

/// Two rounds of the sweeper may be missing.
const MAX_SNAPSHOT_AGE: Duration = Duration::from_secs(180);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub runner: Runner,
    pub profile: Profile,
}

/// The part of a runner that explains what jobs wait for. A later version adds only optional fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSummary {
    /// Without its isolation.
    pub profile: Profile,
    pub status: Presence,
    pub last_heartbeat: Timestamp,
    pub offline_secs: u64,
    pub max: u32,
    pub busy: u32,
    pub draining: bool,
    /// The runner drains for an update, and no user requested a drain.
    pub updating: bool,
}

impl From<&Member> for MemberSummary {
    fn from(Member { runner, profile }: &Member) -> Self {
        Self {
            profile: Profile { isolation: None, ..profile.clone() },
            status: runner.status,
            last_heartbeat: runner.last_heartbeat,
            offline_secs: runner.offline_after().as_secs(),
            max: runner.max,
            busy: u32::try_from(runner.slots.len()).unwrap_or(u32::MAX),
            draining: runner.is_draining(),
            updating: runner.is_updating() && runner.drain.is_none(),
        }
    }
}

impl MemberSummary {
    pub fn is_online(&self, now: Timestamp) -> bool {
        self.status == Presence::Online && now.since(self.last_heartbeat) <= Duration::from_secs(self.offline_secs)
    }

    /// Whether it may run jobs of the project, now or once it is online.
    pub fn serves(&self, project: &ProjectId) -> bool {
        self.status != Presence::Deleting && self.profile.includes_project(project)
    }
}

/// The runners of a large fleet when a round of the sweeper began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetSnapshot {
    pub at: Timestamp,
    pub members: Vec<MemberSummary>,
}

impl FleetSnapshot {
    /// Whether a snapshot of this time may be used. A time in the future is from a wrong clock.
    pub fn is_recent(at: Timestamp, now: Timestamp) -> bool {
        at <= now && now.since(at) <= MAX_SNAPSHOT_AGE
    }

    /// A member that was online keeps the silence that it had then, because the snapshot lacks later heartbeats.
    pub fn into_members(self, now: Timestamp) -> Vec<MemberSummary> {
        let age = now.since(self.at);
        let shift = |mut member: MemberSummary| {
            if member.is_online(self.at) {
                member.last_heartbeat = member.last_heartbeat.plus(age);
            }
            member
        };
        self.members.into_iter().map(shift).collect()
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a> {
    pub members: &'a [MemberSummary],
    pub class: ClassFacts<'a>,
    /// How many jobs of its class are claimed before it.
    pub jobs_ahead: u64,
}

impl Fleet<'_> {
    /// The obstacle, with the time after which a task runs the job, or the reason why none does.
    pub fn wait_reason(&self, job: &Job, now: Timestamp) -> Wait {
        let wait = self.obstacle(job, now);
        let reason = || Cause(wait.sentence());
        if let Some(time) = self.class.overflow_at(job, now) {
            return Wait::OverflowSoon { reason: reason(), time, help: Advice(wait.help()) };
        }
        let has_overflowed = now.since(job.ready_since) >= self.class.settings.overflow_after();
        let needs_runner = matches!(wait, Wait::NoRunner { .. } | Wait::NoOnlineRunner { .. });
        if self.class.settings.compute != Compute::RunnersThenFargate || !needs_runner || !has_overflowed {
            return wait;
        }
        let ClassRequirements { labels, capability, .. } = self.class.requirements;
        match self.class.task_obstacle() {
            Some(TaskObstacle::Labels) => {
                let (cause, help) = (
                    format!("it requires {}", join_labels(labels)),
                    format!("Start a runner with them: `pullyard runner start --labels={}`", quote(labels)),
                );
                Wait::OverflowImpossible { reason: reason(), cause: Cause(cause), help: Advice(help) }
            }
            Some(TaskObstacle::Key) => {
                let cause = format!("it was created without a model key of the project for {capability}");
                let help =
                    "Start a runner; or `pullyard settings set model_secrets.KEY=NAME`, then cancel and retry the job";
                let help = help.to_owned();
                Wait::OverflowImpossible { reason: reason(), cause: Cause(cause), help: Advice(help) }
            }
            None => wait,
        }
    }

    fn obstacle(&self, job: &Job, now: Timestamp) -> Wait {
        let serving = self.members.iter().filter(|member| member.serves(&job.project)).collect::<Vec<_>>();
        let Some(last) = serving.iter().map(|member| member.last_heartbeat).max() else {
            return Wait::NoRunner { project: job.project.clone() };
        };
        // A silent runner keeps its jobs for its own time, but claims none meanwhile.
        let is_awake =
            |member: &&MemberSummary| member.is_online(now) && now.since(member.last_heartbeat) <= OFFLINE_AFTER;
        let online = serving.into_iter().filter(is_awake).collect::<Vec<_>>();
        if online.is_empty() {
            return Wait::NoOnlineRunner { project: job.project.clone(), ago: now.since(last).into() };
        }
        let capability = &self.class.requirements.capability;
        let has_capability = |member: &&MemberSummary| member.profile.capabilities.contains(capability);
        let capable = online.iter().copied().filter(has_capability).collect::<Vec<_>>();
        if capable.is_empty() {
            return Wait::NoCapability { capability: capability.clone(), n: count(&online) };
        }
        let matching = capable.iter().copied().filter(|member| matches(self.class.requirements, &member.profile));
        let matching = matching.collect::<Vec<_>>();
        let Some(first) = matching.first() else {
            return self.label_wait(&capable);
        };
        let accepting = matching.iter().filter(|member| !member.draining).collect::<Vec<_>>();
        if accepting.is_empty() {
            if let Some(member) = matching.iter().find(|member| member.updating) {
                return Wait::RunnerUpdates { name: member.profile.name.clone() };
            }
            return Wait::RunnersPaused { n: count(&matching), name: first.profile.name.clone() };
        }
        if accepting.iter().all(|member| member.busy >= member.max) {
            let total = accepting.iter().map(|member| u64::from(member.max)).sum();
            return Wait::SlotsBusy { total, n: count(&accepting), m: self.jobs_ahead };
        }
        let free = accepting.iter().filter(|member| member.busy < member.max);
        let free = free.map(|member| self.breaker_wait(job, member, now)).collect::<Option<Vec<_>>>();
        if let Some((wait, _)) = free.and_then(|free| free.into_iter().min_by_key(|(_, until)| *until)) {
            return wait;
        }
        Wait::StartingNow { ago: Span::from(now.since(job.ready_since)) }
    }

    /// The breaker that delays the job on this runner, and until when.
    fn breaker_wait(&self, job: &Job, member: &MemberSummary, now: Timestamp) -> Option<(Wait, Timestamp)> {
        let ClassRequirements { key, capability, .. } = self.class.requirements;
        let ids = breaker_ids(*key, capability, &job.project, Some(&member.profile.id));
        let relevant = self.class.breakers.iter().filter(|breaker| ids.contains(&breaker.id));
        longest_delay(relevant, &job.id, now).map(|(breaker, until)| (breaker.wait_reason(until), until))
    }

    /// Names the required labels that no capable runner has, else those that the best match lacks.
    fn label_wait(&self, capable: &[&MemberSummary]) -> Wait {
        let required = &self.class.requirements.labels;
        let all = Advice(quote(required));
        let is_missing = |label: &&String| capable.iter().all(|member| !has_label(&member.profile.labels, label));
        let missing = required.iter().filter(is_missing).cloned().collect::<BTreeSet<_>>();
        if missing.is_empty() {
            let lacks = |member: &MemberSummary| -> BTreeSet<String> {
                required.iter().filter(|label| !has_label(&member.profile.labels, label)).cloned().collect()
            };
            let best = capable.iter().min_by_key(|member| lacks(member).len());
            let lacking = best.map(|member| lacks(member));
            let name = best.map(|member| member.profile.name.clone()).unwrap_or_default();
            return Wait::LabelsApart { name, labels: Cause(join_labels(&lacking.unwrap_or_default())), all };
        }
        // The setting may have changed since the job was created.
        let of_project = missing.intersection(&self.class.settings.labels).count();
        let origin = match of_project {
            0 => "its repository, ticket or request",
            n if n == missing.len() => "the setting `labels`",
            _ => "the setting, repository, ticket or request",
        };
        Wait::NoLabel { labels: Cause(join_labels(&missing)), origin: origin.into(), all }
    }
}

/// The labels as an argument of `--labels` in a shell. Those of a ticket may have any characters.
fn quote(labels: &BTreeSet<String>) -> String {
    let list = labels.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:/-,".contains(c);
    if list.chars().all(is_plain) { list } else { format!("'{}'", list.replace('\'', "'\\''")) }
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
