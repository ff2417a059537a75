//! Tests jobs that no runner claims.

use crate::prelude::*;
use pullyard_domain::job::Placement;

#[tokio::test(flavor = "multi_thread")]
async fn unclaimed_job_fails_after_a_day_with_the_runners_state() {
    let (story, _kite) = Story::with_one_runner().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    story.advance_and_sweep(Duration::from_secs(86_300)).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Ready);
    story.advance_and_sweep(Duration::from_secs(100)).await;
    let failure = story.wait_for_end(&job).await.failure.unwrap();
    assert_eq!(failure.code, "never_claimed");
    assert!(failure.sentence.ends_with(": No runner of acme is online."), "{}", failure.sentence);
    assert_eq!(story.wait_for_settled_ticket("APP-1").await.badges, ["AI Failed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_job_follows_its_project_between_compute_types() {
    let story = Story::with_runners().await;
    story.local.sweep().await.unwrap();
    let job = story.create_job("e1", "APP-1", 1).await;
    story.update_settings(|settings| settings.compute = Compute::Fargate).await;
    story.advance_and_sweep(Duration::from_secs(20)).await;
    assert_eq!(story.api.job(&job).await.unwrap().place, Placement::Runners);
    story.advance_and_sweep(Duration::from_secs(61)).await;
    assert_eq!(story.api.job(&job).await.unwrap().place, Placement::Fargate);
    story.wait_for_task(&job, 1).await;

    // A job refused by Fargate waits for runners once its project uses them.
    story.local.aws().ecs().queue_outcomes(vec![RunTaskOutcome::Failure("Capacity is unavailable")]);
    let job = story.create_job("e2", "APP-2", 2).await;
    story.wait_for_job(&job, |job| job.waits.as_ref().is_some_and(|wait| wait.code == "fargate_capacity")).await;
    story.update_settings(|settings| settings.compute = Compute::Runners).await;
    story.advance_and_sweep(Duration::from_secs(61)).await;
    assert_eq!(story.api.job(&job).await.unwrap().place, Placement::Runners);
    let token = story.runner_token("t", None, None).await;
    assert_eq!(story.register_runner(&token, "kite", "i1").await.claim("c1").await.unwrap().job, job);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_fleet_does_not_hide_why_a_job_waits() {
    let (story, _kite) = Story::with_one_runner().await;
    let broken = json!({ "pk": { "S": "SWEEPER" }, "sk": { "S": "FLEET" } });
    story.call_dynamodb("PutItem", json!({ "TableName": "pullyard", "Item": broken })).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    story.wait_for_job(&job, |job| job.waits.as_ref().is_some_and(|wait| wait.code == "starting_now")).await;
}
