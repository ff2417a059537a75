//! Tests breakers of a project's model account on Fargate, where no task is started for them.

use super::{context, dispatch};
use crate::cli::User;
use crate::story::{Setup, Story, Task, begin_all, failed};
use pullyard_domain::agent::Agent;
use pullyard_domain::breaker::START_SPREAD;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{JobId, SecretName};
use pullyard_domain::job::JobStatus;
use pullyard_domain::secret::SecretKind;
use pullyard_domain::text::Until;
use pullyard_domain::time::Timestamp;
use pullyard_protocol::attempt::{FinishRequest, Phase, StatusRequest};
use pullyard_protocol::client::AttemptClient;
use pullyard_protocol::secret::SetSecret;
use std::time::Duration;

async fn story() -> Story {
    let story = Story::with(Setup { task: Task::Waiting, ..Setup::default() }).await;
    let set = SetSecret { value: "sk-ant-1".into(), kind: SecretKind::Job };
    let secret = story.api.set_secret(&SecretName::new("anthropic").unwrap(), &set).await.unwrap().secret;
    story.settings(|settings| settings.model_secrets.anthropic_api_key = Some(secret)).await;
    story.connect(Agent { capability: "claude_code".into(), command: Vec::new(), model: None }).await;
    story
}

async fn works(story: &Story, job: &JobId, attempt: usize) -> AttemptClient {
    story.task_of(job, attempt).await;
    let (_, client) = story.claim(job, &format!("c{attempt}")).await.unwrap();
    begin_all(&client, Phase::Executing).await;
    client
}

fn ends(id: &str, failure: Failure) -> FinishRequest {
    FinishRequest { failure: Some(failure), spent_usd_micros: Some(1_000), ..failed(id) }
}

fn limited(id: &str, ends_at: Timestamp) -> FinishRequest {
    ends(id, Failure::AgentQuota { time: Until(Some(ends_at)) })
}

async fn waits_for(story: &Story, job: &JobId, code: &str) {
    let why = story.api.why(job).await.unwrap();
    assert_eq!(why.code.as_deref(), Some(code), "{}", why.sentence);
}

async fn started(story: &Story, job: &JobId, expected: usize) {
    story.quiet().await;
    assert_eq!(story.tasks_of(job).await.len(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn adopting_job_starts_under_an_open_breaker_without_a_key() {
    let story = story().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    let client = works(&story, &job, 1).await;
    assert_eq!(client.credentials().await.unwrap().model.len(), 1);
    client.status(&StatusRequest { status: Phase::Syncing, inputs: None }).await.unwrap();
    let other = story.job_for("e2", "APP-2", 2).await;
    let end = story.clock.now().plus(Duration::from_secs(1_800));
    let met = works(&story, &other, 1).await.finish(&limited("f1", end)).await.unwrap();
    assert_eq!(met.status, JobStatus::Ready);
    story.kill(&task).await;
    story.died(&job).await;
    story.pass(Duration::from_secs(121)).await;
    story.task_of(&job, 2).await;
    let (assignment, client) = story.claim(&job, "c2").await.unwrap();
    assert!(assignment.adopts);
    assert_eq!(client.credentials().await.unwrap().model.len(), 0);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_task_starts_while_the_accounts_limit_is_reached() {
    let story = story().await;
    let ctx = context(&story).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let client = works(&story, &job, 1).await;
    let end = story.clock.now().plus(Duration::from_secs(1_800));
    assert_eq!(client.finish(&limited("f1", end)).await.unwrap().status, JobStatus::Ready);
    assert_eq!(client.finish(&limited("f1", end)).await.unwrap().status, JobStatus::Ready, "same answer to a repeat");
    assert_eq!(story.stored(&job).await["spent_usd_micros"], 1_000, "the cost counts once");
    waits_for(&story, &job, "limit_reached").await;
    let second = story.job_for("e2", "APP-2", 2).await;
    for job in [&job, &second] {
        dispatch(&ctx, job).await;
    }
    started(&story, &second, 0).await;
    waits_for(&story, &second, "limit_reached").await;
    story.pass(Duration::from_secs(1_500)).await;
    started(&story, &second, 0).await;
    started(&story, &job, 1).await;

    // After the limit, jobs start spread over `START_SPREAD`.
    story.pass(Duration::from_secs(330) + START_SPREAD).await;
    story.task_of(&job, 2).await;
    story.task_of(&second, 1).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn breakers_are_listed_and_closing_one_resumes_its_jobs() {
    let story = story().await;
    let user = User::of(&story);
    assert_eq!(user.run(&["breakers"]).await.done().trim(), "");
    let job = story.job_for("e1", "APP-1", 1).await;
    let client = works(&story, &job, 1).await;
    let end = story.clock.now().plus(Duration::from_secs(36_000));
    client.finish(&limited("f1", end)).await.unwrap();
    let shown = story.api.breakers().await.unwrap().breakers;
    assert_eq!((shown.len(), shown[0].account.as_str()), (1, "project/acme/claude_code"));
    assert_eq!((shown[0].code.as_str(), shown[0].until, shown[0].times), ("limit_reached", end, 1));
    assert!(user.run(&["breakers"]).await.done().contains("project/acme/claude_code"));
    user.run(&["breakers", "close", "codex"]).await.ended(2, "an account is");
    user.run(&["breakers", "close", "project/acme/codex"])
        .await
        .ended(5, "the account project/acme/codex is not paused");
    let answered = user.run(&["breakers", "close", "project/acme/codex", "--json"]).await.ended(5, "is not paused");
    let answer: serde_json::Value = serde_json::from_str(&answered.out).unwrap();
    assert_eq!(answer["closed"], false);
    user.run(&["breakers", "close", "project/acme/claude_code"]).await.done();
    assert!(story.api.breakers().await.unwrap().breakers.is_empty());
    let again = story.api.close_breaker("project/acme/claude_code").await.unwrap();
    assert!(!again.closed, "a repeated close finds no breaker");
    story.pass(Duration::from_secs(310)).await;
    story.task_of(&job, 2).await;
    story.end().await;
}
