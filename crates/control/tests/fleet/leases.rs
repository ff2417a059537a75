//! Leases whose runner, token or budget day ends before the job.

use crate::prelude::*;
use crate::world::{World, token};
use pullyard_control::attempt::{find_checkpoint, issue_credentials, list_inputs, set_phase, start_attempt};
use pullyard_control::runner::{RemovalState, remove_runner};
use pullyard_control::{Bootstrap, Error, cancel_job, pause_job, reserve_artifact};
use pullyard_domain::job::artifact::{ArtifactKind, NewArtifact};
use pullyard_domain::project::budget::Budget;
use pullyard_domain::text::id::{ArtifactName, RunnerId, Sha256Hex};
use pullyard_store::Token;

struct HeldJob {
    world: World,
    runner: RunnerId,
    fence: Fence,
}

impl HeldJob {
    async fn begin(world: World) -> Self {
        world.connect().await;
        let runner = world.runners(1, 1, 1).await.remove(0);
        let job = world.job(&Settings { compute: Compute::Runners, ..Settings::default() }).await;
        let fence = world.claim(&job.id, Some(&runner)).await;
        let held = Self { world, runner: runner.id, fence };
        for phase in [JobStatus::Preparing, JobStatus::Executing] {
            set_phase(&held.world.ctx, &held.fence, phase, None, None).await.unwrap();
        }
        held
    }

    /// The calls that the lease still allows: secrets, start, artifact, checkpoint, inputs, push.
    async fn allowed_calls(&self) -> [bool; 6] {
        let (ctx, fence) = (&self.world.ctx, &self.fence);
        let Fence { job, attempt, claim } = fence.clone();
        let bootstrap = Bootstrap { job, attempt, dispatch: 0, expires: ctx.clock.now() };
        let instance = "run-job".parse().unwrap();
        let offer = NewArtifact {
            kind: ArtifactKind::CheckOutput,
            name: ArtifactName::new("one.txt").unwrap(),
            size_bytes: 1,
            sha256: Sha256Hex::new("0".repeat(64)).unwrap(),
        };
        [
            is_allowed(issue_credentials(ctx, fence).await),
            is_allowed(start_attempt(ctx, &bootstrap, claim, instance, None).await),
            is_allowed(reserve_artifact(ctx, fence, &offer).await),
            is_allowed(find_checkpoint(ctx, fence).await),
            is_allowed(list_inputs(ctx, fence, 0).await),
            is_allowed(set_phase(ctx, fence, JobStatus::Syncing, None, None).await),
        ]
    }

    async fn assert_no_call_allowed(&self) {
        assert_eq!(self.allowed_calls().await, [false; 6]);
        self.world.load_job(&self.fence.job).await.check_fence(&self.fence).unwrap();
    }
}

fn is_allowed<T: std::fmt::Debug>(answer: Result<T, Error>) -> bool {
    match answer {
        Ok(_) => true,
        Err(Error::LeaseLost { recorded: false }) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn valid_lease_grants_all_calls() {
    assert_eq!(HeldJob::begin(World::begin().await).await.allowed_calls().await, [true; 6]);
}

#[tokio::test]
async fn lease_of_a_removed_runner_or_revoked_token_grants_nothing() {
    let held = HeldJob::begin(World::begin().await).await;
    assert_eq!(remove_runner(&held.world.ctx, &held.runner).await.unwrap(), RemovalState::InProgress);
    held.assert_no_call_allowed().await;
    let held = HeldJob::begin(World::begin().await).await;
    assert_applied(held.world.ctx.store.revoke_token(&held.world.token.hash).await);
    held.assert_no_call_allowed().await;
}

#[tokio::test]
async fn lease_with_an_expired_token_grants_no_call() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let mut world = World::begin().await;
    let hash = "b".repeat(64);
    let expires_at = Some(world.ctx.clock.now().plus(HOUR));
    assert_applied(world.ctx.store.put_token(&Token { expires_at, ..token(&hash) }).await);
    world.token = RunnerToken { hash, projects: None };
    let held = HeldJob::begin(world).await;
    issue_credentials(&held.world.ctx, &held.fence).await.unwrap();
    held.world.ctx.clock.advance(HOUR);
    held.assert_no_call_allowed().await;
}

/// A job may be paused for longer than the budget of its day is stored.
#[tokio::test]
async fn job_ends_after_its_budget_day_is_deleted() {
    let world = World::begin().await;
    let budget = Budget { jobs_per_day: Some(1), ..Budget::default() };
    let job = world.job(&Settings { budget, ..Settings::default() }).await;
    let day = job.reserved.unwrap().day;
    assert_eq!(world.ctx.store.load_budget(&world.project, day).await.unwrap(), None);
    pause_job(&world.ctx, &job.id, "ana").await.unwrap();
    let ended = cancel_job(&world.ctx, &job.id, "ana", None).await.unwrap();
    assert_eq!(ended.status, JobStatus::Cancelled);
    assert_eq!(world.ctx.store.load_budget(&world.project, day).await.unwrap(), None);
}
