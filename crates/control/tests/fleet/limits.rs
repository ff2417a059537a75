//! Limits of running jobs: dispatchers at the same time, full repositories, ends without hints, and deleted projects.

use crate::dispatch::refusal;
use crate::prelude::*;
use crate::world::World;
use futures::future::join_all;
use pullyard_control::{cancel_job, continue_job, dispatch, pause_job, sweep};
use pullyard_domain::job::limit::{Places, RunningLimits};
use pullyard_domain::job::{Cancel, Placement, Priority};
use pullyard_domain::project::Repository;
use pullyard_domain::text::id::RepositoryName;

impl World {
    /// A project with these limits, whose hints are all lost.
    async fn limited(project: Option<u32>, repository: Option<u32>, wire: &Wire) -> Self {
        wire.fail_always("SendMessage", refusal("Nobody is there."));
        let world = Self::with_client(wire.clone()).await;
        world.connect().await;
        let limited = Repository { running_jobs: repository, ..world.repository() };
        assert_applied(world.ctx.store.rename_repository(&world.repository(), &limited).await);
        let other = RepositoryName::new("acme/other").unwrap();
        assert_applied(
            world.ctx.store.put_repository(&Repository { id: 98, name: other, ..world.repository() }, None).await,
        );
        world.set_limit(project).await;
        assert_applied(world.ctx.store.put_places(&Places::new(world.project.clone()), &[]).await);
        world.count().await;
        world
    }

    /// The sweeper counts the jobs after a change of limits.
    async fn count(&self) {
        self.ctx.clock.advance(Duration::from_secs(61));
        let _ = sweep(&self.ctx).await;
    }

    async fn set_limit(&self, max: Option<u32>) {
        let mut settings = Settings { compute: Compute::Runners, ..Settings::default() };
        settings.limits.running_jobs = max;
        self.set_settings(settings).await;
    }

    /// Jobs of a repository, each a second younger than the one before.
    async fn waiting_jobs(&self, repository: u64, count: usize) -> Vec<Job> {
        let limits = RunningLimits { project: Some(1), ..RunningLimits::default() };
        let mut jobs = Vec::new();
        for number in 0..count {
            self.ctx.clock.advance(Duration::from_secs(1));
            let job = Job { repository, ..self.plan(&repository.to_string(), number, 1) };
            jobs.push(self.store_job(&job.await_place(&limits)).await);
        }
        jobs
    }

    async fn taking(&self, jobs: &[Job]) -> usize {
        join_all(jobs.iter().map(|job| self.load_job(&job.id))).await.iter().filter(|job| job.takes_place()).count()
    }

    /// A minute later.
    async fn sweep_and_dispatch(&self, hinted: &Job) {
        self.count().await;
        dispatch(&self.ctx, &hinted.id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dispatchers_at_the_same_time_assign_every_place_once() {
    let world = &World::limited(Some(7), None, &Wire::default()).await;
    let jobs = world.waiting_jobs(99, 12).await;
    for result in join_all(jobs.iter().map(|job| dispatch(&world.ctx, &job.id))).await {
        result.unwrap();
    }
    assert_eq!(world.taking(&jobs[..7]).await, 7, "the oldest are first");
    assert_eq!(world.taking(&jobs).await, 7);
}

#[tokio::test]
async fn place_goes_to_the_younger_job_of_high_priority() {
    let world = World::limited(Some(1), None, &Wire::default()).await;
    let older = world.waiting_jobs(99, 1).await.remove(0);
    world.ctx.clock.advance(Duration::from_secs(1_800));
    let limits = RunningLimits { project: Some(1), ..RunningLimits::default() };
    let high = Job { priority: Priority::High, repository: 99, ..world.plan("high", 1, 1) };
    let high = world.store_job(&high.await_place(&limits)).await;
    dispatch(&world.ctx, &older.id).await.unwrap();
    assert_eq!((world.taking(&[older]).await, world.taking(&[high]).await), (0, 1));
}

#[tokio::test]
async fn removed_limit_places_all_in_several_writes() {
    let world = World::limited(Some(1), None, &Wire::default()).await;
    let jobs = world.waiting_jobs(99, 25).await;
    world.set_limit(None).await;
    dispatch(&world.ctx, &jobs[24].id).await.unwrap();
    assert_eq!(world.taking(&jobs).await, 25);
}

#[tokio::test]
async fn jobs_without_a_limit_are_counted_when_it_returns() {
    let world = World::limited(Some(1), None, &Wire::default()).await;
    let jobs = world.waiting_jobs(99, 3).await;
    world.set_limit(None).await;
    dispatch(&world.ctx, &jobs[2].id).await.unwrap();
    assert_eq!(world.taking(&jobs).await, 3);
    world.set_limit(Some(1)).await;
    let later = world.waiting_jobs(98, 1).await;
    dispatch(&world.ctx, &later[0].id).await.unwrap();
    assert_eq!(world.taking(&later).await, 0, "no sweep has counted the others");
}

#[tokio::test]
async fn repositories_with_little_room_hide_no_other_one() {
    let world = World::limited(None, Some(1), &Wire::default()).await;
    let old = world.waiting_jobs(99, 25).await;
    let others = world.waiting_jobs(98, 12).await;
    dispatch(&world.ctx, &others[0].id).await.unwrap();
    assert_eq!((world.taking(&old).await, world.taking(&others).await), (1, 12));
}

#[tokio::test]
async fn jobs_from_before_a_limit_hold_its_places() {
    let world = World::limited(None, None, &Wire::default()).await;
    let before = world.waiting_jobs(99, 3).await;
    dispatch(&world.ctx, &before[0].id).await.unwrap();
    let now = world.ctx.clock.now();
    for job in &before {
        let started = Job { place: Placement::Fargate, ..world.load_job(&job.id).await }.begin_dispatch(now);
        assert_applied(world.ctx.store.update_job(&started.unwrap()).await);
    }
    world.set_limit(Some(3)).await;
    let after = world.waiting_jobs(98, 1).await;
    dispatch(&world.ctx, &after[0].id).await.unwrap();
    assert_eq!(world.taking(&after).await, 0, "no sweep has counted the others");
    world.sweep_and_dispatch(&after[0]).await;
    assert_eq!((world.taking(&before).await, world.taking(&after).await), (3, 0));
    cancel_job(&world.ctx, &before[0].id, "ana", None).await.unwrap();
    world.sweep_and_dispatch(&after[0]).await;
    assert_eq!(world.taking(&after).await, 1);
}

#[tokio::test]
async fn unreadable_project_leaves_no_task_behind() {
    let wire = Wire::default();
    let world = World::limited(Some(1), None, &wire).await;
    let jobs = world.waiting_jobs(99, 1).await;
    dispatch(&world.ctx, &jobs[0].id).await.unwrap();
    let first = Job { place: Placement::Fargate, ..world.load_job(&jobs[0].id).await };
    let now = world.ctx.clock.now();
    assert_applied(world.ctx.store.update_job(&first.begin_dispatch(now).unwrap()).await);
    cancel_job(&world.ctx, &first.id, "ana", None).await.unwrap();
    wire.fail_always("Query", refusal("no"));
    wire.take_call_count("ListTasks");
    dispatch(&world.ctx, &first.id).await.unwrap_err();
    assert!(wire.take_call_count("ListTasks") > 0, "its task is stopped");
}

#[tokio::test]
async fn full_repository_stops_no_other_one() {
    let world = World::limited(None, Some(1), &Wire::default()).await;
    let own = world.waiting_jobs(99, 30).await;
    let other = world.waiting_jobs(98, 1).await;
    dispatch(&world.ctx, &own[29].id).await.unwrap();
    assert_eq!((world.taking(&own[..1]).await, world.taking(&own).await, world.taking(&other).await), (1, 1, 1));
}

#[tokio::test]
async fn sweep_frees_a_place_whose_hint_was_lost() {
    let world = World::limited(Some(1), None, &Wire::default()).await;
    let jobs = world.waiting_jobs(99, 2).await;
    dispatch(&world.ctx, &jobs[1].id).await.unwrap();
    // An older version ends the job, or the hint of its end is lost.
    let ended = world
        .load_job(&jobs[0].id)
        .await
        .cancel(Cancel::new("ana", None, world.ctx.clock.now()), world.ctx.clock.now());
    assert_applied(world.ctx.store.update_job(&ended.unwrap()).await);
    dispatch(&world.ctx, &jobs[1].id).await.unwrap();
    assert_eq!(world.taking(&jobs).await, 0, "the ended job is still a holder");
    world.sweep_and_dispatch(&jobs[1]).await;
    assert_eq!(world.taking(&jobs).await, 1);
}

#[tokio::test]
async fn place_is_assigned_although_no_task_can_be_stopped() {
    let wire = Wire::default();
    let world = World::limited(Some(1), None, &wire).await;
    let jobs = world.waiting_jobs(99, 2).await;
    dispatch(&world.ctx, &jobs[1].id).await.unwrap();
    let first = Job { place: Placement::Fargate, ..world.load_job(&jobs[0].id).await };
    let now = world.ctx.clock.now();
    assert_applied(world.ctx.store.update_job(&first.begin_dispatch(now).unwrap()).await);
    cancel_job(&world.ctx, &first.id, "ana", None).await.unwrap();
    wire.fail_always("ListTasks", refusal("no"));
    dispatch(&world.ctx, &first.id).await.unwrap_err();
    assert_eq!(world.taking(&jobs).await, 1);
}

#[tokio::test]
async fn runners_claim_only_jobs_with_a_place() {
    let world = World::limited(Some(1), None, &Wire::default()).await;
    let runner = world.runners(1, 1, 4).await.remove(0);
    world.jobs("class", 0, 1).await;
    let jobs = world.waiting_jobs(99, 2).await;
    world.beats(&runner, BTreeSet::new()).await;
    assert_eq!(world.takes(&runner, "c1").await.unwrap(), None);
    dispatch(&world.ctx, &jobs[1].id).await.unwrap();
    assert_eq!(world.takes(&runner, "c2").await.unwrap().as_ref(), Some(&jobs[0].id));
    assert_eq!(world.takes(&runner, "c3").await.unwrap(), None);
    // A limit that is set while jobs may be claimed makes the others wait.
    world.set_limit(None).await;
    dispatch(&world.ctx, &jobs[1].id).await.unwrap();
    assert_eq!(world.taking(&jobs).await, 2);
    world.set_limit(Some(1)).await;
    world.sweep_and_dispatch(&jobs[1]).await;
    assert_eq!(world.takes(&runner, "c4").await.unwrap(), None);
    assert!(world.load_job(&jobs[1].id).await.awaits_place());
}

#[tokio::test]
async fn continued_job_is_returned_as_it_waits() {
    let world = World::limited(Some(1), None, &Wire::default()).await;
    let jobs = world.waiting_jobs(99, 2).await;
    dispatch(&world.ctx, &jobs[0].id).await.unwrap();
    pause_job(&world.ctx, &jobs[0].id, "ana").await.unwrap();
    dispatch(&world.ctx, &jobs[0].id).await.unwrap();
    assert_eq!(world.taking(&jobs[1..]).await, 1);
    assert!(continue_job(&world.ctx, &jobs[0].id).await.unwrap().awaits_place());
}

#[tokio::test]
async fn job_of_a_deleted_project_gets_a_place() {
    let world = World::limited(Some(1), None, &Wire::default()).await;
    let jobs = world.waiting_jobs(99, 2).await;
    dispatch(&world.ctx, &jobs[0].id).await.unwrap();
    let project = world.ctx.store.load_project(&world.project).await.unwrap().unwrap();
    assert_applied(world.ctx.store.delete_project(&project).await);
    dispatch(&world.ctx, &jobs[1].id).await.unwrap();
    assert_eq!(world.taking(&jobs).await, 2, "its claim cancels it");
}
