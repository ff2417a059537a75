//! Jobs that no runner claims in time and that a task runs instead: the move, its race with a claim, and labels.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::sweep;
use pullyard_domain::agent::breaker::{Account, AccountFault, AttemptRef, Breaker, BreakerCause, BreakerId, KeyOwner};
use pullyard_domain::job::select::ClassRequirements;
use pullyard_domain::job::{Claim, Placement, Priority};
use pullyard_store::Write;

impl World {
    async fn overflowing(after_secs: u64) -> (Self, Settings) {
        let world = Self::begin().await;
        let compute = Compute::RunnersThenFargate;
        let settings = Settings { compute, overflow_after_secs: after_secs, ..Settings::default() };
        world.set_settings(settings.clone()).await;
        (world, settings)
    }

    async fn place_after(&self, job: &Job, secs: u64) -> Placement {
        self.ctx.clock.advance(Duration::from_secs(secs));
        sweep(&self.ctx).await.into_result().unwrap();
        self.load_job(&job.id).await.place
    }
}

/// A job without labels, whose class is stored as on its creation.
async fn store_plain_job(world: &World, settings: &Settings) -> Job {
    let job = world.job(settings).await;
    let needs = ClassRequirements { capability: "command".into(), labels: BTreeSet::new(), key: KeyOwner::Runner };
    world.ctx.store.create_class(&world.project, &job.class, &needs).await.unwrap();
    job
}

#[tokio::test]
async fn unclaimed_job_moves_to_a_task_and_stays_there() {
    let (world, settings) = World::overflowing(120).await;
    let job = store_plain_job(&world, &settings).await;
    assert_eq!(world.place_after(&job, 119).await, Placement::Runners);
    assert_eq!(world.place_after(&job, 61).await, Placement::Fargate);
    let runners = world.runners(1, 1, 1).await;
    assert_eq!(world.takes(&runners[0], "k1").await.unwrap(), None);
    assert_eq!(world.place_after(&job, 600).await, Placement::Fargate);
}

#[tokio::test]
async fn job_with_labels_never_overflows() {
    let (world, _) = World::overflowing(60).await;
    let job = world.jobs("one", 1, 1).await.remove(0);
    assert_eq!(world.place_after(&job, 3_600).await, Placement::Runners);
    let runners = world.runners(1, 1, 1).await;
    assert_eq!(world.takes(&runners[0], "k1").await.unwrap(), Some(job.id));
}

#[tokio::test]
async fn job_without_a_key_for_tasks_never_overflows() {
    let (world, settings) = World::overflowing(60).await;
    let job = world.job(&settings).await;
    let needs = ClassRequirements { capability: "codex".into(), labels: BTreeSet::new(), key: KeyOwner::Runner };
    world.ctx.store.create_class(&world.project, &job.class, &needs).await.unwrap();
    assert_eq!(world.place_after(&job, 3_600).await, Placement::Runners);
}

#[tokio::test]
async fn requeued_job_of_a_working_agent_waits_for_runners() {
    let (world, settings) = World::overflowing(60).await;
    let job = store_plain_job(&world, &settings).await;
    let fence = world.claim(&job.id, None).await;
    let requeued = world.load_job(&fence.job).await.requeue(world.ctx.clock.now()).unwrap();
    let worked = Job { worked: true, ..requeued };
    assert_eq!(world.ctx.store.update_job(&worked).await.unwrap(), Write::Applied);
    assert_eq!(world.place_after(&job, 3_600).await, Placement::Runners);
}

#[tokio::test]
async fn no_job_overflows_while_the_account_of_its_project_is_blocked() {
    let (world, settings) = World::overflowing(60).await;
    let job = world.job(&settings).await;
    let needs = ClassRequirements { capability: "codex".into(), labels: BTreeSet::new(), key: KeyOwner::Project };
    world.ctx.store.create_class(&world.project, &job.class, &needs).await.unwrap();
    let id = BreakerId { account: Account::Project(world.project.clone()), capability: "codex".into() };
    let until = world.ctx.clock.now().plus(Duration::from_secs(3_600));
    let fault = AccountFault { cause: BreakerCause::LimitReached, ends_at: Some(until) };
    let by = AttemptRef { job: job.id.clone(), attempt: 1 };
    let open = Breaker::record_fault(None, &id, &fault, &by, world.ctx.clock.now()).unwrap();
    assert_eq!(world.ctx.store.put_breaker(&open, None).await.unwrap(), Write::Applied);
    for number in 2..=30 {
        let id = JobId::for_request(&world.project, "one", &number.to_string());
        world.store_job(&Job { id, rev: 0, ..job.clone() }).await;
    }
    world.ctx.clock.advance(Duration::from_secs(3_000));
    let report = sweep(&world.ctx).await.into_result().unwrap();
    let place = world.load_job(&job.id).await.place;
    assert_eq!((report.checked, place), (25, Placement::Runners), "the others are not read");
    // After its end, here by a user, runners have their time.
    assert!(pullyard_control::close_breaker(&world.ctx, &id).await.unwrap());
    assert_eq!(world.place_after(&job, 1).await, Placement::Runners);
    assert_eq!(world.place_after(&job, 61).await, Placement::Fargate);
}

#[tokio::test]
async fn claim_and_move_of_the_same_job_have_one_winner() {
    for is_claim_first in [true, false] {
        let (world, settings) = World::overflowing(60).await;
        let job = store_plain_job(&world, &settings).await;
        let runner = world.runners(1, 1, 1).await.remove(0);
        let now = world.ctx.clock.now();
        let claim = Claim {
            attempt: 1,
            claim: ClaimId::new("c1").unwrap(),
            instance: runner.instance.clone(),
            runner: Some(runner.id.clone()),
            task: None,
        };
        // Both were computed from the same read.
        let (claimed, moved) = (job.claim(&claim, now).unwrap(), job.move_to(Placement::Fargate, now).unwrap());
        let store = &world.ctx.store;
        let writes = match is_claim_first {
            true => [store.claim_job(&claimed).await, store.update_job(&moved).await],
            false => [store.update_job(&moved).await, store.claim_job(&claimed).await],
        };
        assert_eq!(writes.map(Result::unwrap), [Write::Applied, Write::Stale]);
        let stored = world.load_job(&job.id).await;
        let expected = if is_claim_first { (1, Placement::Runners) } else { (0, Placement::Fargate) };
        assert_eq!((stored.attempt, stored.place), expected);
        // A second hint to the runner finds nothing, and one attempt or one task remains.
        assert_eq!(world.takes(&runner, "k2").await.unwrap(), None);
        assert_eq!(world.load_job(&job.id).await.attempt, expected.0);
    }
}

#[tokio::test]
async fn jobs_of_a_class_are_claimed_by_priority_and_age() {
    let world = World::begin().await;
    let mut jobs = world.jobs("plain", 1, 1).await;
    let class = jobs[0].class.clone();
    for (name, priority) in [("low", Priority::Low), ("high", Priority::High), ("later", Priority::High)] {
        world.ctx.clock.advance(Duration::from_secs(1_300));
        let job = Job { priority, ..world.plan(name, 0, 1) };
        jobs.push(world.store_job(&job).await);
    }
    world.ctx.clock.advance(Duration::from_secs(4_800));
    jobs.push(world.store_job(&world.plan("last", 0, 1)).await);
    let expected = [&jobs[2], &jobs[0], &jobs[3], &jobs[1], &jobs[4]].map(|job| job.id.clone());
    let listed = world.ctx.store.list_ready_jobs(&class, 9).await.unwrap();
    assert_eq!(listed.into_iter().map(|row| row.job).collect::<Vec<_>>(), expected);
    let runner = world.runners(1, 1, 5).await.remove(0);
    for (number, job) in expected.into_iter().enumerate() {
        world.beats(&runner, BTreeSet::new()).await;
        assert_eq!(world.takes(&runner, &format!("k{number}")).await.unwrap(), Some(job));
    }
}
