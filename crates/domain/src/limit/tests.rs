//! Explores every order of events of three jobs in two limits: a project with two places and a repository with one.

use super::*;
use crate::fixtures::{claim, crash_failure, finish_id, job_id, ready_job, time_at};
use crate::job::{Cancel, End, Fence, JobStatus, Pause};
use std::collections::HashSet;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key(String);

/// The table: jobs by age, and the holders of each limit. The first two jobs are of the limited repository.
#[derive(Clone, Debug)]
struct World {
    jobs: Vec<Job>,
    holders: BTreeMap<LimitKey, Holders>,
}

const PLACES: [(LimitScope, u32); 2] = [(LimitScope::Project, 2), (LimitScope::Repository, 1)];

fn limits(number: usize) -> Limits {
    PLACES.into_iter().take(if number < 2 { 2 } else { 1 }).collect()
}

impl World {
    fn new() -> Self {
        let job = |number: usize| {
            let repository = if number < 2 { 1 } else { 2 };
            let created = time_at(number as u64);
            let job = Job { id: job_id(&number.to_string()), repository, created, ..ready_job() };
            job.await_places(&limits(number))
        };
        Self { jobs: (0..3).map(job).collect(), holders: BTreeMap::new() }
    }

    fn key(&self) -> Key {
        let job = |job: &Job| format!("{:?}{:?}{:?}{}", job.status, job.is_limited, job.holds, job.requeues);
        Key(format!("{:?}{:?}", self.jobs.iter().map(job).collect::<Vec<_>>(), self.holders))
    }

    /// As the store writes it: the places that the job no longer holds are free in the same transaction.
    fn write(&self, number: usize, next: Job) -> Self {
        let mut world = self.clone();
        for scope in self.jobs[number].holds.difference(&next.holds) {
            let limit = world.holders.get_mut(&next.limit_key(*scope)).unwrap();
            limit.holders.remove(&next.id).expect("the place was held");
        }
        for scope in next.holds.difference(&self.jobs[number].holds) {
            let limit = world.holders.entry(next.limit_key(*scope)).or_default();
            assert!(limit.has_room(&next.id, limits(number)[scope]), "the store refuses this");
            limit.holders.insert(next.id.clone(), time_at(0));
        }
        world.jobs[number] = next;
        world
    }

    fn admissible(&self) -> Option<usize> {
        let all = (0..3).map(limits).collect::<Vec<_>>();
        let (job, _) = first_admissible(self.jobs.iter().zip(&all), &self.holders)?;
        self.jobs.iter().position(|each| each.id == job.id)
    }

    fn successors(&self) -> Vec<Self> {
        let now = time_at(1_000);
        let mut all = Vec::new();
        if let Some(number) = self.admissible() {
            all.push(self.write(number, self.jobs[number].admit_to_places(&limits(number), now).unwrap()));
        }
        for (number, job) in self.jobs.iter().enumerate() {
            let can_start = job.status == JobStatus::Ready && !job.is_limited;
            let next = [
                can_start.then(|| job.claim(&claim(job.attempt + 1, "c1"), now).ok()).flatten(),
                (job.requeues < 1).then(|| job.requeue(now).ok()).flatten(),
                job.pause(Pause::new("ana", now), now).ok().filter(|paused| paused.status == JobStatus::Paused),
                job.resume(now).ok().map(|job| job.await_places(&limits(number))).filter(|_| job.attempt < 2),
                job.cancel(Cancel::new("ana", None, now), now).ok().filter(|job| job.status.is_terminal()),
                job.run.as_ref().filter(|_| job.status.is_active()).map(|run| {
                    let (job_id, claim) = (job.id.clone(), run.claim.clone());
                    let fence = Fence { job: job_id, attempt: job.attempt, claim };
                    job.finish(&fence, &finish_id("f1"), End::Failed(crash_failure(), None), now).unwrap()
                }),
            ];
            all.extend(next.into_iter().flatten().map(|next| self.write(number, next)));
        }
        all
    }

    fn check(&self) {
        for (scope, max) in PLACES {
            let holding = self.jobs.iter().filter(|job| job.holds.contains(&scope));
            let key = if scope == LimitScope::Project { None } else { Some(1) };
            let stored = self.holders.iter().find(|(limit, _)| limit.repository.as_ref().map(|it| it.1) == key);
            let stored = stored.map_or(0, |(_, limit)| limit.holders.len());
            assert_eq!(holding.count(), stored, "{scope:?}: {self:?}");
            assert!(stored <= max as usize, "{scope:?} is exceeded: {self:?}");
        }
        for (number, job) in self.jobs.iter().enumerate() {
            let may_run = job.status == JobStatus::Ready && !job.is_limited || job.status.is_active();
            assert_eq!(job.holds.len(), if may_run { limits(number).len() } else { 0 }, "{job:?}");
        }
        // A waiting job finds no place only if other jobs, which will end, hold it.
        let waits = self.jobs.iter().any(|job| job.status == JobStatus::Ready && job.is_limited);
        let holds = self.jobs.iter().any(|job| !job.holds.is_empty());
        assert!(!waits || holds || self.admissible().is_some(), "a job waits for nothing: {self:?}");
        // The oldest waiting job is overtaken only while its repository is full.
        if let Some(number) = self.admissible() {
            let is_overtaken = |older: usize| self.jobs[older].is_limited && limits(older).len() == 1;
            assert!(!(0..number).any(is_overtaken), "{self:?}");
        }
    }
}

#[test]
fn limits_are_never_exceeded_and_no_job_waits_forever() {
    let (mut seen, mut todo) = (HashSet::new(), vec![World::new()]);
    while let Some(world) = todo.pop() {
        if seen.insert(world.key()) {
            world.check();
            todo.extend(world.successors());
        }
    }
    assert!(seen.len() > 500, "{}", seen.len());
}

#[test]
fn lowered_limit_ends_no_job_and_admits_none_until_there_is_room() {
    let limit = |count: usize| Holders { holders: (0..count).map(|n| (job_id(&n.to_string()), time_at(0))).collect() };
    let new = job_id("new");
    assert!(limit(1).has_room(&new, 2) && !limit(2).has_room(&new, 2) && !limit(3).has_room(&new, 2));
    assert!(limit(3).has_room(&job_id("1"), 2), "a holder has its place");
}

#[test]
fn job_without_limits_does_not_wait() {
    let job = ready_job().await_places(&Limits::new());
    assert_eq!((job.is_limited, job.admit_to_places(&Limits::new(), time_at(1))), (false, None));
    // The limit was removed while the job waited.
    let waiting = ready_job().await_places(&limits(2));
    let admitted = waiting.admit_to_places(&Limits::new(), time_at(5)).unwrap();
    assert_eq!((admitted.is_limited, admitted.holds.len(), admitted.ready_since), (false, 0, time_at(5)));
}
