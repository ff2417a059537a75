//! Counts the work of the deployment. The index has no job status, so the first due jobs are read.

use super::deadlines::{HELD_ENTRIES_UNTIL, RoundTimer};
use crate::{Context, Error};
use pullyard_domain::agent::runner::{Presence, Runner};
use pullyard_domain::job::{Job, JobStatus, Placement};
use pullyard_domain::text::id::{JobId, ProjectId};
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{DuePage, Gauges, WorkKey};
use std::collections::BTreeMap;

/// Keys read per shard. A read costs at least half a unit, which covers as many.
pub(super) const KEYS_PER_SHARD: i32 = 40;
/// Limit of jobs read per snapshot. Units: each costs one or two read units.
const MAX_JOBS_READ: usize = 10;
/// Most projects with own counts, the largest counts first. The snapshot must stay one small item.
const MAX_PROJECTS: usize = 20;

#[derive(Debug, Default)]
pub(super) struct ScheduledItems {
    jobs: Vec<(Timestamp, JobId)>,
    later_tickets: u32,
    is_truncated: bool,
}

impl ScheduledItems {
    pub(super) fn add_page(&mut self, page: &DuePage, now: Timestamp) {
        self.is_truncated |= page.is_full;
        for (key, at) in &page.rows {
            match key {
                WorkKey::Job(job) => self.jobs.push((*at, job.clone())),
                WorkKey::Ticket(..) if *at > now => self.later_tickets += 1,
                _ => {}
            }
        }
    }

    pub(super) async fn count_jobs(
        mut self,
        ctx: &Context,
        time: &RoundTimer<'_>,
        gauges: &mut Gauges,
    ) -> Result<(), Error> {
        self.jobs.sort();
        gauges.more |= self.is_truncated;
        gauges.later = self.later_tickets;
        let mut result = Ok(());
        for (_, job) in self.jobs.iter().take(MAX_JOBS_READ) {
            match time.run_before(HELD_ENTRIES_UNTIL, "read a job", ctx.store.load_job(job)).await {
                Ok(Some(job)) => count_job(gauges, &job),
                Ok(None) => {}
                Err(error @ Error::Timeout { .. }) => result = Err(error),
                Err(_) => gauges.more = true,
            }
        }
        let unread = self.jobs.len().saturating_sub(MAX_JOBS_READ);
        gauges.running += u32::try_from(unread).unwrap_or(u32::MAX);
        result
    }
}

/// Counts waiting jobs of a project. `oldest`: since when the first has waited.
pub(super) fn count_waiting(gauges: &mut Gauges, project: &ProjectId, count: u32, oldest: Option<Timestamp>) {
    if count > 0 {
        gauges.waiting += count;
        *gauges.waiting_by.entry(project.clone()).or_default() += count;
        gauges.oldest = [gauges.oldest, oldest].into_iter().flatten().min();
    }
}

pub(super) fn count_held(gauges: &mut Gauges, project: &ProjectId, count: u32) {
    if count > 0 {
        gauges.held += count;
        *gauges.held_by.entry(project.clone()).or_default() += count;
    }
}

/// A job that waits for runners is in another partition and counted there.
fn count_job(gauges: &mut Gauges, job: &Job) {
    match job.status {
        JobStatus::Pending => gauges.pending += 1,
        JobStatus::Ready if job.place == Placement::Fargate => {
            count_waiting(gauges, &job.project, 1, Some(job.ready_since));
        }
        status if status.is_active() => gauges.running += 1,
        _ => {}
    }
}

pub(super) fn count_runner(gauges: &mut Gauges, runner: &Runner) {
    let busy = u32::try_from(runner.slots.len()).unwrap_or(u32::MAX);
    gauges.slots_busy = gauges.slots_busy.saturating_add(busy);
    match runner.status {
        Presence::Online if runner.is_draining() => gauges.draining += 1,
        Presence::Online => {
            gauges.online += 1;
            gauges.slots_free = gauges.slots_free.saturating_add(runner.free_slots());
        }
        _ => gauges.offline += 1,
    }
}

pub(super) fn finish(mut gauges: Gauges, at: Timestamp) -> Gauges {
    gauges.at = Some(at);
    retain_largest(&mut gauges.waiting_by);
    retain_largest(&mut gauges.held_by);
    gauges
}

fn retain_largest(by: &mut BTreeMap<ProjectId, u32>) {
    let mut all: Vec<_> = std::mem::take(by).into_iter().collect();
    all.sort_by(|(a, count_a), (b, count_b)| count_b.cmp(count_a).then_with(|| a.cmp(b)));
    all.truncate(MAX_PROJECTS);
    by.extend(all);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    fn project(n: usize) -> ProjectId {
        ProjectId::new(format!("p{n:03}")).unwrap()
    }

    #[test]
    fn jobs_and_entries_are_counted_in_total_and_per_project() {
        let mut gauges = Gauges::default();
        count_waiting(&mut gauges, &project(1), 2, Some(at(20)));
        count_waiting(&mut gauges, &project(2), 1, Some(at(10)));
        count_waiting(&mut gauges, &project(3), 0, None);
        for (n, count) in [(1, 2), (2, 0), (1, 1), (3, 4)] {
            count_held(&mut gauges, &project(n), count);
        }
        assert_eq!((gauges.waiting, gauges.oldest_wait(at(70))), (3, Some(Duration::from_secs(60))));
        assert_eq!(gauges.waiting_by, BTreeMap::from([(project(1), 2), (project(2), 1)]));
        assert_eq!((gauges.held, gauges.held_by), (7, BTreeMap::from([(project(1), 3), (project(3), 4)])));
    }

    #[test]
    fn snapshot_lists_only_the_projects_with_most_jobs() {
        let mut gauges = Gauges::default();
        for n in 0..50 {
            count_waiting(&mut gauges, &project(n), u32::try_from(n).unwrap(), None);
        }
        let taken = finish(gauges, at(1));
        assert_eq!(taken.waiting, (0..50).sum::<u32>(), "the sum covers all projects");
        assert_eq!(taken.waiting_by.len(), MAX_PROJECTS);
        assert!(taken.waiting_by.contains_key(&project(49)) && !taken.waiting_by.contains_key(&project(29)));
        let size = serde_json::to_string(&taken).unwrap().len();
        assert!(size < 900, "{size}: with keys and times more than one write unit");
    }
}
