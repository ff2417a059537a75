//! Gauges of a deployment: counts that the sweeper takes once a minute from the rows it reads anyway.
//! The indexes contain only keys, so each gauge states which rows it counts.

use crate::id::ProjectId;
use crate::job::{Job, JobStatus, Placement};
use crate::runner::{Presence, Runner};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The sweeper runs every minute and counts as late after this silence.
pub const SWEEP_LATE_AFTER: Duration = Duration::from_secs(300);

/// Largest difference between two clocks. A sweep recorded further in the future came from a wrong clock.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Most projects with own counts, the largest counts first. The snapshot must stay one small item.
const MAX_PROJECTS: usize = 20;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    #[serde(default)]
    pub waiting: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// Jobs whose review is not read yet.
    #[serde(default)]
    pub pending: u32,
    #[serde(default)]
    pub running: u32,
    #[serde(default)]
    pub held: u32,
    /// Tickets that are due later, because of a delayed review or a retry.
    #[serde(default)]
    pub later: u32,
    #[serde(default)]
    pub online: u32,
    /// Runners with a heartbeat that accept no further jobs.
    #[serde(default)]
    pub draining: u32,
    #[serde(default)]
    pub offline: u32,
    #[serde(default)]
    pub slots_busy: u32,
    #[serde(default)]
    pub slots_free: u32,
    /// `waiting` by project, without zeros.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting_by: BTreeMap<ProjectId, u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held_by: BTreeMap<ProjectId, u32>,
    /// Some rows were not counted, so each count is a lower bound.
    #[serde(default)]
    pub more: bool,
}

impl Gauges {
    /// Counts waiting jobs of a project. `oldest`: since when the first has waited.
    pub fn add_waiting(&mut self, project: &ProjectId, count: u32, oldest: Option<Timestamp>) {
        if count > 0 {
            self.waiting += count;
            *self.waiting_by.entry(project.clone()).or_default() += count;
            self.oldest = [self.oldest, oldest].into_iter().flatten().min();
        }
    }

    pub fn add_held(&mut self, project: &ProjectId, count: u32) {
        if count > 0 {
            self.held += count;
            *self.held_by.entry(project.clone()).or_default() += count;
        }
    }

    /// Counts a job that the sweep read. A job that waits for runners is in another partition and counted there.
    pub fn add_job(&mut self, job: &Job) {
        match job.status {
            JobStatus::Pending => self.pending += 1,
            JobStatus::Ready if job.place == Placement::Fargate => {
                self.add_waiting(&job.project, 1, Some(job.ready_since));
            }
            status if status.is_active() => self.running += 1,
            _ => {}
        }
    }

    pub fn add_runner(&mut self, runner: &Runner) {
        let busy = u32::try_from(runner.slots.len()).unwrap_or(u32::MAX);
        self.slots_busy = self.slots_busy.saturating_add(busy);
        match runner.status {
            Presence::Online if runner.is_draining() => self.draining += 1,
            Presence::Online => {
                self.online += 1;
                self.slots_free = self.slots_free.saturating_add(runner.free_slots());
            }
            _ => self.offline += 1,
        }
    }

    pub fn finish(mut self, at: Timestamp) -> Self {
        self.at = Some(at);
        retain_largest(&mut self.waiting_by);
        retain_largest(&mut self.held_by);
        self
    }

    /// For a round that skipped a part: `before` while it is recent, then this incomplete count, marked by `more`.
    pub fn or_recent(self, before: Option<Self>, now: Timestamp) -> Self {
        // A snapshot from further in the future would count as recent until its time comes.
        let is_near = |before: &Self| {
            before.at.is_some_and(|at| at <= now.plus(MAX_CLOCK_SKEW) && now.since(at) <= SWEEP_LATE_AFTER)
        };
        before.filter(is_near).unwrap_or_else(|| Self { more: true, ..self }.finish(now))
    }

    pub fn oldest_wait(&self, now: Timestamp) -> Option<Duration> {
        self.oldest.map(|oldest| now.since(oldest))
    }
}

fn retain_largest(by: &mut BTreeMap<ProjectId, u32>) {
    let mut all: Vec<_> = std::mem::take(by).into_iter().collect();
    all.sort_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
    all.truncate(MAX_PROJECTS);
    by.extend(all);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweeperGauges {
    OnTime,
    NeverRan,
    Delayed(Duration),
}

pub fn sweeper_state(last: Option<Timestamp>, now: Timestamp) -> SweeperGauges {
    match last.map(|last| now.since(last)) {
        None => SweeperGauges::NeverRan,
        Some(silent) if silent > SWEEP_LATE_AFTER => SweeperGauges::Delayed(silent),
        Some(_) => SweeperGauges::OnTime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{active, awaiting_input_job, job_id, paused_job, pending, ready_job, runner, slot};

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    fn project(n: usize) -> ProjectId {
        ProjectId::new(format!("p{n:03}")).unwrap()
    }

    #[test]
    fn oldest_job_of_all_projects_counts() {
        let mut gauges = Gauges::default();
        gauges.add_waiting(&project(1), 2, Some(at(20)));
        gauges.add_waiting(&project(2), 1, Some(at(10)));
        gauges.add_waiting(&project(3), 0, None);
        assert_eq!((gauges.waiting, gauges.oldest_wait(at(70))), (3, Some(Duration::from_secs(60))));
        assert_eq!(gauges.waiting_by.len(), 2, "a project without waiting jobs is not listed");
    }

    #[test]
    fn snapshot_lists_only_the_projects_with_most_jobs() {
        let mut gauges = Gauges::default();
        for n in 0..50 {
            gauges.add_waiting(&project(n), u32::try_from(n).unwrap(), None);
        }
        let taken = gauges.finish(at(1));
        assert_eq!(taken.waiting, (0..50).sum::<u32>(), "the sum covers all projects");
        assert_eq!(taken.waiting_by.len(), MAX_PROJECTS);
        assert!(taken.waiting_by.contains_key(&project(49)) && !taken.waiting_by.contains_key(&project(29)));
        let size = serde_json::to_string(&taken).unwrap().len();
        assert!(size < 900, "{size}: with keys and times more than one write unit");
    }

    #[test]
    fn partial_count_is_used_when_no_full_one_is_recent() {
        let counted = Gauges { waiting: 1, ..Gauges::default() };
        let part = |secs| Gauges { at: Some(at(secs)), waiting: 1, more: true, ..Gauges::default() };
        let whole = Gauges { at: Some(at(10)), waiting: 9, ..Gauges::default() };
        assert_eq!(counted.clone().or_recent(None, at(20)), part(20));
        assert_eq!(counted.clone().or_recent(Some(whole.clone()), at(310)), whole);
        assert_eq!(counted.clone().or_recent(Some(whole), at(311)), part(311));
        let ahead = Gauges { at: Some(at(320)), waiting: 9, ..Gauges::default() };
        assert_eq!(counted.clone().or_recent(Some(ahead.clone()), at(20)), ahead, "clocks may differ");
        assert_eq!(counted.clone().or_recent(Some(ahead), at(19)), part(19), "but not by that much");
        let nobody_knows_when = Gauges { waiting: 9, ..Gauges::default() };
        assert_eq!(counted.or_recent(Some(nobody_knows_when), at(20)), part(20));
    }

    #[test]
    fn runner_is_counted_by_presence_drain_and_slots() {
        let kite = Runner { slots: [(job_id("j"), slot("c1", 0))].into(), ..runner("kite") };
        let mut gauges = Gauges::default();
        for runner in [
            kite.clone(),
            Runner { draining: true, ..kite.clone() },
            Runner { status: Presence::Offline, ..kite.clone() },
            Runner { status: Presence::Deleting, ..kite },
        ] {
            gauges.add_runner(&runner);
        }
        assert_eq!((gauges.online, gauges.draining, gauges.offline), (1, 1, 2));
        assert_eq!((gauges.slots_busy, gauges.slots_free), (4, 1), "only the online runner has a free slot");
    }

    #[test]
    fn job_is_counted_by_status_and_place() {
        let mut gauges = Gauges::default();
        let of_runners = Job { place: Placement::Runners, ..ready_job() };
        for job in [
            pending(),
            ready_job(),
            of_runners,
            active(JobStatus::Claimed),
            active(JobStatus::Syncing),
            awaiting_input_job(),
            paused_job(),
        ] {
            gauges.add_job(&job);
        }
        assert_eq!((gauges.pending, gauges.waiting, gauges.running), (1, 1, 2));
        assert_eq!(gauges.oldest, Some(ready_job().ready_since));
        // Ready jobs of runners are counted from the index.
        let mut none = Gauges::default();
        none.add_job(&Job { place: Placement::Runners, ..ready_job() });
        assert_eq!(none, Gauges::default());
    }

    #[test]
    fn sweeper_is_late_after_five_minutes() {
        assert_eq!(sweeper_state(None, at(0)), SweeperGauges::NeverRan);
        assert_eq!(sweeper_state(Some(at(0)), at(300)), SweeperGauges::OnTime);
        assert_eq!(sweeper_state(Some(at(0)), at(301)), SweeperGauges::Delayed(Duration::from_secs(301)));
        assert_eq!(sweeper_state(Some(at(10)), at(0)), SweeperGauges::OnTime, "clocks may differ");
    }

    #[test]
    fn held_entries_are_counted_in_total_and_per_project() {
        let mut gauges = Gauges::default();
        gauges.add_held(&project(1), 2);
        gauges.add_held(&project(2), 0);
        gauges.add_held(&project(1), 1);
        gauges.add_held(&project(3), 4);
        assert_eq!((gauges.held, gauges.waiting), (7, 0));
        assert_eq!(gauges.held_by, BTreeMap::from([(project(1), 3), (project(3), 4)]));
    }
}
