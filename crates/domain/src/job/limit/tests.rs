//! Explores every order of events of three jobs in two limits: a project with two places and a repository with one.

use super::*;
use crate::fixtures::{claim, crash_failure, finish_id, job_id, project, project_id, ready_job, time_at};
use crate::job::{Cancel, End, Fence, JobStatus, Pause, Priority, TransitionRefusal};
use std::collections::HashSet;

/// The table: jobs by age, and the places. The first two jobs are of the limited repository.
#[derive(Clone, Debug)]
struct World {
    jobs: Vec<Job>,
    places: Places,
}

fn limits() -> RunningLimits {
    let own = (ready_job().repository_key(), 1);
    RunningLimits { project: Some(2), repositories: [own].into() }
}

fn job(number: usize) -> Job {
    let repository = if number < 2 { ready_job().repository } else { 2 };
    // The second one is younger, and first in the order.
    let priority = if number == 1 { Priority::High } else { Priority::Normal };
    Job {
        id: job_id(&number.to_string()),
        repository,
        created: time_at(5_000 + number as u64),
        priority,
        ..ready_job()
    }
}

impl World {
    fn new(jobs: impl IntoIterator<Item = Job>) -> Self {
        Self { jobs: jobs.into_iter().collect(), places: Places::new(project_id()) }
    }

    fn key(&self) -> String {
        let job = |job: &Job| format!("{:?}{}{}{}", job.status, job.is_limited, job.is_placed, job.requeues);
        let holders = self.places.holders.keys().collect::<Vec<_>>();
        format!("{:?}{holders:?}", self.jobs.iter().map(job).collect::<Vec<_>>())
    }

    /// As the dispatcher: one write of the places and the jobs that get them.
    fn assign(&self, hinted: Option<&Job>) -> Self {
        let mut world = self.clone();
        if let Some(hinted) = hinted.filter(|hinted| !hinted.takes_place()) {
            world.places.holders.remove(&hinted.id);
        }
        for placed in world.places.fill(&limits(), self.jobs.clone(), time_at(1_000)) {
            let number = self.jobs.iter().position(|job| job.id == placed.id).unwrap();
            world.jobs[number] = placed;
        }
        world
    }

    /// As the sweeper.
    fn recount(&self) -> Self {
        let mut world = self.clone();
        world.places.retain_holders(&self.jobs);
        for number in 0..self.jobs.len() {
            if let Some(waiting) = world.places.count(&limits(), &self.jobs[number]) {
                world.jobs[number] = waiting;
            }
        }
        world
    }

    fn successors(&self) -> Vec<Self> {
        let now = time_at(1_000);
        let mut all = vec![self.recount()];
        for (number, job) in self.jobs.iter().enumerate() {
            if job.awaits_place() || job.has_left_its_place() {
                all.push(self.assign(Some(job)));
            }
            let next = [
                job.claim(&claim(job.attempt + 1, "c1"), now).ok(),
                (job.requeues < 1).then(|| job.requeue(now).ok()).flatten(),
                job.pause(Pause::new("ana", now), now).ok().filter(|paused| paused.status == JobStatus::Paused),
                job.resume(now).ok().map(|job| job.await_place(&limits())).filter(|_| job.attempt < 2),
                job.cancel(Cancel::new("ana", None, now), now).ok().filter(|job| job.status.is_terminal()),
                job.run.as_ref().filter(|_| job.status.is_active()).map(|run| {
                    let (job_id, claim) = (job.id.clone(), run.claim.clone());
                    let fence = Fence { job: job_id, attempt: job.attempt, claim };
                    job.finish(&fence, &finish_id("f1"), End::Failed(crash_failure(), None), now).unwrap()
                }),
            ];
            for next in next.into_iter().flatten() {
                let mut world = self.clone();
                world.jobs[number] = next;
                all.push(world);
            }
        }
        all
    }

    fn taking(&self) -> usize {
        self.jobs.iter().filter(|job| job.takes_place()).count()
    }

    fn check(&self) {
        let own = self.jobs[..2].iter().filter(|job| job.takes_place()).count();
        assert!(self.taking() <= 2 && own <= 1, "a limit is exceeded: {self:?}");
        for job in self.jobs.iter().filter(|job| job.takes_place()) {
            assert!(self.places.holders.contains_key(&job.id), "{job:?} has no place");
        }
        // Without any hint of an end, a recount and the hint of a waiting job give each free place to the oldest.
        let swept = self.recount();
        assert_eq!(swept.places.holders.len(), self.taking(), "a place is lost: {self:?}");
        let Some(hinted) = swept.jobs.iter().find(|job| job.awaits_place()) else { return };
        let after = swept.assign(Some(hinted));
        let waits = |number: usize| after.jobs[number].awaits_place();
        let is_own_full = after.jobs[..2].iter().any(Job::takes_place);
        assert!(after.taking() == 2 || !waits(2) && (is_own_full || !waits(0) && !waits(1)), "{after:?}");
        let is_overtaken = swept.jobs[1].awaits_place() && waits(1) && swept.jobs[0].awaits_place() && !waits(0);
        assert!(!is_overtaken, "{swept:?}");
    }
}

#[test]
fn limits_are_never_exceeded_and_no_job_waits_forever() {
    let waiting = (0..3).map(|number| job(number).await_place(&limits()));
    let (mut seen, mut todo) = (HashSet::new(), vec![World::new(waiting)]);
    while let Some(world) = todo.pop() {
        if seen.insert(world.key()) {
            world.check();
            todo.extend(world.successors());
        }
    }
    assert!(seen.len() > 1_000, "{}", seen.len());
}

#[test]
fn jobs_from_before_a_limit_are_counted() {
    let now = time_at(5);
    let starting = |number: usize| job(number).begin_dispatch(now).unwrap();
    // One runs, one may be claimed by its task, and the third did not start.
    let world = World::new([job(0).claim(&claim(1, "c1"), now).unwrap(), starting(1), job(2)]).recount();
    assert_eq!(world.places.holders.keys().cloned().collect::<HashSet<_>>(), [job_id("0"), job_id("1")].into());
    assert!(world.jobs[2].awaits_place());
    assert_eq!(world.recount().key(), world.key(), "a second count finds the same");
    // The repository has two running jobs in one place. No job is ended for that, and none gets a place.
    let key = job(0).repository_key();
    let full = world.places.first_full(&limits(), &key).unwrap();
    assert_eq!((full.scope, full.taken, full.max), (LimitScope::Project, 2, 2));
    assert_eq!(world.assign(Some(&world.jobs[2])).key(), world.key());
    // A job of another repository is not counted if only the first one has a limit.
    let mut places = Places::new(project_id());
    let own = RunningLimits { project: None, ..limits() };
    assert_eq!((places.count(&own, &job(2)), places.holders.len()), (None, 0));
}

#[test]
fn jobs_are_counted_after_a_change_of_limits_and_hourly() {
    let mut places = Places::new(project_id());
    let none = RunningLimits::default();
    assert!(!places.is_count_due(&none, time_at(0)) && places.is_count_due(&limits(), time_at(0)));
    for (at, next) in [(0, 60), (60, 3_660), (3_660, 7_260)] {
        assert!(places.is_count_due(&limits(), time_at(at)));
        places.end_count(limits(), time_at(at));
        assert!(!places.is_count_due(&limits(), time_at(next - 1)), "{at}");
    }
    assert!(places.is_count_due(&none, time_at(3_700)), "waiting jobs are no longer limited");
}

#[test]
fn waiting_job_is_not_claimed_and_starts_once_it_has_a_place() {
    let waiting = job(0).begin_dispatch(time_at(1)).unwrap().pause(Pause::new("ana", time_at(2)), time_at(2)).unwrap();
    let waiting = waiting.resume(time_at(3)).unwrap().await_place(&limits());
    assert_eq!(waiting.claim(&claim(1, "c1"), time_at(4)), Err(TransitionRefusal::StopRequested));
    let placed = Places::new(project_id()).fill(&limits(), vec![waiting], time_at(5)).remove(0);
    assert_eq!((placed.dispatch.due, placed.ready_since), (time_at(5), time_at(5)), "its first start was earlier");
    assert!(placed.takes_place() && placed.claim(&claim(1, "c1"), time_at(6)).is_ok());
    let first = Places::new(project_id()).fill(&limits(), vec![job(1).await_place(&limits())], time_at(5)).remove(0);
    assert_eq!(first.dispatch.due, time_at(5).plus(WAKE_TIMEOUT), "its hint starts it");
    // An older version started it and left the mark.
    let started = Job { is_limited: true, ..placed.claim(&claim(1, "c1"), time_at(6)).unwrap() };
    assert!(started.takes_place() && !started.awaits_place());
}

#[test]
fn one_write_places_a_few_jobs_in_their_order() {
    let jobs = (0..30).rev().map(|number| job(number).await_place(&limits())).collect::<Vec<_>>();
    let mut places = Places::new(project_id());
    let placed = places.fill(&RunningLimits::default(), jobs.clone(), time_at(9));
    let ids = placed.iter().map(|job| job.id.clone()).collect::<Vec<_>>();
    // Job 1 has a high priority.
    let numbers = [1, 0].into_iter().chain(2..MAX_PLACED);
    assert_eq!(ids, numbers.map(|number| job_id(&number.to_string())).collect::<Vec<_>>());
    assert!(places.holders.is_empty(), "the limit was removed");
    let limits = RunningLimits { project: Some(3), repositories: BTreeMap::new() };
    assert_eq!(places.fill(&limits, jobs, time_at(9)).len(), 3);
    assert_eq!(places.room(&limits, "gh#1"), 0);
}

#[test]
fn job_without_a_limit_does_not_wait() {
    let only_one = RunningLimits { project: None, ..limits() };
    assert!(!job(2).await_place(&only_one).awaits_place() && job(0).await_place(&only_one).awaits_place());
    assert!(RunningLimits::new(&project(), []).is_empty());
    assert!(!job(0).await_place(&RunningLimits::default()).awaits_place());
}
