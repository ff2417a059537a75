//! Tests breakers of a project's model account on Fargate, where no task is started for them.

use super::{dispatch, function_context};
use crate::prelude::*;
use pullyard_domain::agent::breaker::START_SPREAD;
use pullyard_domain::text::Until;

async fn story_with_model_key() -> Story {
    let story = Story::start_with(Setup { task: Task::Waiting, ..Setup::default() }).await;
    let set = SetSecret { value: "sk-ant-1".into(), kind: SecretKind::Job };
    let secret = story.api.set_secret(&SecretName::new("anthropic").unwrap(), &set).await.unwrap().secret;
    story.update_settings(|settings| settings.model_secrets.anthropic_api_key = Some(secret)).await;
    story.connect_repository(Agent { capability: "claude_code".into(), command: Vec::new(), model: None }).await;
    story
}

async fn start_agent(story: &Story, job: &JobId, attempt: usize) -> AttemptClient {
    story.wait_for_task(job, attempt).await;
    let (_, client) = story.claim(job, &format!("c{attempt}")).await.unwrap();
    enter_phases(&client, Phase::Executing).await;
    client
}

fn finish_with_failure(id: &str, failure: Failure) -> FinishRequest {
    FinishRequest { failure: Some(failure), spent_usd_micros: Some(1_000), ..failed_finish(id) }
}

fn quota_finish(id: &str, ends_at: Timestamp) -> FinishRequest {
    finish_with_failure(id, Failure::AgentQuota { time: Until(Some(ends_at)) })
}

async fn assert_waits(story: &Story, job: &JobId, code: &str) {
    let explanation = story.api.explain_job(job).await.unwrap();
    assert_eq!(explanation.code.as_deref(), Some(code), "{}", explanation.sentence);
}

async fn assert_task_count(story: &Story, job: &JobId, expected: usize) {
    story.wait_for_empty_queues().await;
    assert_eq!(story.list_tasks(job).await.len(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_task_starts_while_the_accounts_limit_is_reached() {
    let story = story_with_model_key().await;
    let ctx = function_context(&story).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let client = start_agent(&story, &job, 1).await;
    let end = story.clock.now().plus(Duration::from_secs(1_800));
    assert_eq!(client.finish(&quota_finish("f1", end)).await.unwrap().status, JobStatus::Ready);
    assert_eq!(
        client.finish(&quota_finish("f1", end)).await.unwrap().status,
        JobStatus::Ready,
        "same answer to a repeat"
    );
    assert_eq!(story.load_job_item(&job).await["spent_usd_micros"], 1_000, "the cost counts once");
    assert_waits(&story, &job, "limit_reached").await;
    let second = story.create_job("e2", "APP-2", 2).await;
    for job in [&job, &second] {
        dispatch(&ctx, job).await;
    }
    assert_task_count(&story, &second, 0).await;
    assert_waits(&story, &second, "limit_reached").await;
    story.advance_and_sweep(Duration::from_secs(1_500)).await;
    assert_task_count(&story, &second, 0).await;
    assert_task_count(&story, &job, 1).await;

    // After the limit, jobs start spread over `START_SPREAD`.
    story.advance_and_sweep(Duration::from_secs(330) + START_SPREAD).await;
    story.wait_for_task(&job, 2).await;
    story.wait_for_task(&second, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn breakers_are_listed_and_closing_one_resumes_its_jobs() {
    let story = story_with_model_key().await;
    let user = User::of(&story);
    assert_eq!(user.ok(&["breakers"]).await.trim(), "");
    let job = story.create_job("e1", "APP-1", 1).await;
    let client = start_agent(&story, &job, 1).await;
    let end = story.clock.now().plus(Duration::from_secs(36_000));
    client.finish(&quota_finish("f1", end)).await.unwrap();
    let breakers = story.api.breakers().await.unwrap().breakers;
    assert_eq!((breakers.len(), breakers[0].account.as_str()), (1, "project/acme/claude_code"));
    assert_eq!((breakers[0].code.as_str(), breakers[0].until, breakers[0].times), ("limit_reached", end, 1));
    assert!(user.ok(&["breakers"]).await.contains("project/acme/claude_code"));
    user.run(&["breakers", "close", "codex"]).await.assert_exit(2, "an account is");
    user.run(&["breakers", "close", "project/acme/codex"])
        .await
        .assert_exit(5, "the account project/acme/codex is not paused");
    let answered =
        user.run(&["breakers", "close", "project/acme/codex", "--json"]).await.assert_exit(5, "is not paused");
    let answer: serde_json::Value = serde_json::from_str(&answered.out).unwrap();
    assert_eq!(answer["closed"], false);
    user.ok(&["breakers", "close", "project/acme/claude_code"]).await;
    assert!(story.api.breakers().await.unwrap().breakers.is_empty());
    let again = story.api.close_breaker("project/acme/claude_code").await.unwrap();
    assert!(!again.closed, "a repeated close finds no breaker");
    story.advance_and_sweep(Duration::from_secs(310)).await;
    story.wait_for_task(&job, 2).await;
}
