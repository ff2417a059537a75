//! Tests jobs that no runner claims.

use crate::story::Story;
use pullyard_domain::job::{JobStatus, Placement};
use pullyard_domain::project::Compute;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn unclaimed_job_fails_after_a_day_with_the_runners_state() {
    let (story, _kite) = Story::with_kite().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.pass(Duration::from_secs(86_300)).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Ready);
    story.pass(Duration::from_secs(100)).await;
    let failure = story.ended(&job).await.failure.unwrap();
    assert_eq!(failure.code, "never_claimed");
    assert!(failure.sentence.ends_with(": No runner of acme is online."), "{}", failure.sentence);
    assert_eq!(story.settled("APP-1").await.badges, ["AI Failed"]);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_job_follows_its_project_between_compute_types() {
    let story = Story::with_runners().await;
    story.local.sweep().await.unwrap();
    let job = story.job_for("e1", "APP-1", 1).await;
    story.settings(|settings| settings.compute = Compute::Fargate).await;
    story.pass(Duration::from_secs(20)).await;
    assert_eq!(story.api.job(&job).await.unwrap().place, Placement::Runners);
    story.pass(Duration::from_secs(61)).await;
    assert_eq!(story.api.job(&job).await.unwrap().place, Placement::Fargate);
    story.task_of(&job, 1).await;

    // A job refused by Fargate waits for runners once its project uses them.
    story.local.aws().ecs().script(vec![pullyard_emulator::ecs::Outcome::CapacityUnavailable]);
    let job = story.job_for("e2", "APP-2", 2).await;
    story.job_until(&job, |job| job.waits.as_ref().is_some_and(|wait| wait.code == "fargate_capacity")).await;
    story.settings(|settings| settings.compute = Compute::Runners).await;
    story.pass(Duration::from_secs(61)).await;
    assert_eq!(story.api.job(&job).await.unwrap().place, Placement::Runners);
    let token = story.runner_token("t", None, None).await;
    assert_eq!(story.runner(&token, "kite", "i1").await.claim("c1").await.unwrap().job, job);
    story.end().await;
}
