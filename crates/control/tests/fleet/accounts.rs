//! What attempts say of their models' accounts: whom it shuts one for and how long, and what is kept of the attempt.

use crate::world::{World, applied};
use pullyard_control::attempt::{Finish, finish, progress};
use pullyard_control::pause_job;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{ClaimId, FinishId, InstanceId, JobId};
use pullyard_domain::job::{AttemptEnd, Claim, End, Fence, Status, Work};
use pullyard_domain::project::{Compute, Settings};
use pullyard_domain::runner::Runner;
use pullyard_domain::text::Until;
use pullyard_domain::time::Timestamp;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn on(compute: Compute) -> Settings {
    Settings { compute, ..Settings::default() }
}

/// The next attempt of a job, come as far as this; of a runner, or of a task.
async fn works(world: &World, job: &JobId, runner: Option<&Runner>, last: Status) -> Fence {
    let job = world.stored(job).await;
    let attempt = job.attempt + 1;
    let claim = Claim {
        attempt,
        claim: ClaimId::new(format!("c{attempt}")).unwrap(),
        instance: runner.map_or_else(|| InstanceId::new("i1").unwrap(), |runner| runner.instance.clone()),
        runner: runner.map(|runner| runner.id.clone()),
        task: None,
    };
    applied(world.ctx.store.claim(&job.claimed(&claim, world.ctx.clock.now()).unwrap()).await);
    let fence = Fence { job: job.id, attempt, claim: claim.claim };
    for phase in [Status::Preparing, Status::Executing, Status::Syncing].into_iter().filter(|phase| *phase <= last) {
        progress(&world.ctx, &fence, phase, None).await.unwrap();
    }
    fence
}

fn says(id: &str, end: End) -> Finish {
    Finish { id: FinishId::new(id).unwrap(), end, spent_usd_micros: None, work: None }
}

fn limited(ends: Timestamp) -> Failure {
    Failure::AgentQuota { time: Until(Some(ends)) }
}

fn work() -> Work {
    Work {
        agent: "command".into(),
        version: None,
        model: None,
        session: Some("s1".into()),
        isolation: "none".into(),
        starts: 1,
        turns: 2,
        input_tokens: 30,
        cached_input_tokens: 0,
        output_tokens: 4,
        checks: Vec::new(),
    }
}

#[tokio::test]
async fn an_attempt_that_met_a_limit_while_its_job_was_to_pause_leaves_what_it_took_on_record() {
    let world = World::begin().await;
    let ctx = &world.ctx;
    let job = world.job(&on(Compute::Fargate)).await;
    let fence = works(&world, &job.id, None, Status::Executing).await;
    pause_job(ctx, &job.id, "ana").await.unwrap();
    let met = limited(ctx.clock.now().plus(HOUR));
    let said = Finish { spent_usd_micros: Some(1_500), work: Some(work()), ..says("f1", End::Failed(met, None)) };
    assert_eq!(finish(ctx, &fence, &said).await.unwrap(), Status::Paused);
    assert_eq!(world.stored(&job.id).await.spent_usd_micros, 1_500);
    let attempt = ctx.store.attempt(&job.id, 1).await.unwrap().unwrap();
    assert!(matches!(attempt.ended, AttemptEnd::Requeued { failure: Failure::AgentQuota { .. } }), "{attempt:?}");
    assert_eq!((attempt.work, attempt.spent_usd_micros), (Some(work()), Some(1_500)));
}
