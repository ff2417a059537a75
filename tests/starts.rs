//! Tests starts of tasks, and tasks that die before a claim; `faults` has every failure of ECS.

mod breakers;
mod faults;

use crate::processes::recorder::Recorder;
use crate::story::{Setup, Story, TODO, Task, told, until};
use futures::future::join_all;
use pullyard_domain::id::JobId;
use pullyard_emulator::ecs::Outcome;
use pullyard_entry::config::Network;
use pullyard_local::Hints;
use pullyard_protocol::job::Job;
use serde_json::{Value, json};
use std::time::Duration;

/// The time after which an unclaimed start counts as failed.
const START_WITHIN: Duration = Duration::from_secs(300);

/// Another instance of a function; its starts have the same parameters.
async fn context(story: &Story) -> pullyard_entry::Context {
    story.instance("dispatch", "effects.fifo").await
}

async fn dispatch(ctx: &pullyard_entry::Context, job: &JobId) {
    let record = json!({ "messageId": "m", "body": json!({ "job": job }).to_string(), "attributes": {} });
    let event = serde_json::from_value(json!({ "Records": [record] })).unwrap();
    pullyard_function_dispatcher::handle(ctx, event).await;
}

async fn tell(ctx: &pullyard_entry::Context, event: &Value) {
    pullyard_function_tasks::handle(ctx, serde_json::from_value(event.clone()).unwrap()).await.unwrap();
}

fn waits(code: &'static str) -> impl Fn(&Job) -> bool {
    move |job| job.waits.as_ref().is_some_and(|wait| wait.code == code)
}

/// Waits until the task's ARN is stored for the current start.
async fn named(story: &Story, job: &JobId) {
    until("the start is named", async || {
        let job = story.stored(job).await;
        if job["dispatch"]["task"].is_string() { Ok(()) } else { Err(job.to_string()) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_wake_ups_start_one_task_per_attempt() {
    let story = Story::waiting().await;
    let ctx = context(&story).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    tokio::join!(join_all((0..12).map(|_| story.wake(&job))), join_all((0..12).map(|_| dispatch(&ctx, &job))));
    named(&story, &job).await;
    story.quiet().await;
    assert_eq!(story.tasks_of(&job).await.len(), 1);
    story.claim(&job, "c1").await.unwrap();
    dispatch(&ctx, &job).await;
    story.wake(&job).await;
    story.pass(2 * START_WITHIN).await;
    story.quiet().await;
    assert_eq!(story.tasks_of(&job).await.len(), 1);
    assert_eq!(story.stored(&job).await["dispatch"]["number"], 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn task_is_started_in_the_configured_network() {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let recorder = Recorder::default();
    let ecs = recorder.before(&story.local.aws().endpoints().ecs).await;
    for (key, public_ip, said) in [("APP-1", true, "ENABLED"), ("APP-2", false, "DISABLED")] {
        let (subnets, security_groups) = (vec!["subnet-a".into(), "subnet-b".into()], vec!["sg-a".into()]);
        let mut config = story.config("dispatch", "effects.fifo").await;
        config.network = Some(Network { subnets, security_groups, public_ip });
        config.endpoints.ecs = Some(ecs.clone());
        let job = story.job_for(key, key, 1).await;
        recorder.begin();
        dispatch(&story.instance_of(config).await, &job).await;
        let calls = recorder.end();
        let run = calls.iter().find(|call| call["operation"] == "RunTask").unwrap();
        let told = json!({
            "subnets": ["subnet-a", "subnet-b"], "securityGroups": ["sg-a"], "assignPublicIp": said,
        });
        assert_eq!(run["body"]["networkConfiguration"], json!({ "awsvpcConfiguration": told }));
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_lost_beyond_sdk_retries_leads_to_the_same_task() {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let ctx = context(&story).await;
    story.local.aws().ecs().script(vec![Outcome::AnswerLost; 6]);
    let job = story.job_for("e1", "APP-1", 1).await;
    while !story.stored(&job).await["dispatch"]["task"].is_string() {
        dispatch(&ctx, &job).await;
    }
    assert_eq!(story.tasks_of(&job).await.len(), 1);
    assert_eq!(story.stored(&job).await["dispatch"]["number"], 1);
    let (assignment, _) = story.claim(&job, "c1").await.unwrap();
    assert_eq!(assignment.attempt, 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_fails_after_three_tasks_died_before_their_claim() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    for (number, back_off) in (1..=3).zip([5, 10, 20]) {
        let task = story.task_of(&job, number).await;
        named(&story, &job).await;
        story.kill(&task).await;
        let waiting = story.job_until(&job, waits("start_failed")).await;
        assert_eq!(waiting.attempt, 0);
        assert!(waiting.waits.unwrap().sentence.contains("signal 9"));
        story.pass(Duration::from_secs(back_off + 1)).await;
    }
    let failure = story.ended(&job).await.failure.unwrap();
    assert_eq!(failure.code, "task_never_started");
    assert_eq!(story.tasks_of(&job).await.len(), 3);
    let ticket = story.settled("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_task_may_still_claim_before_its_replacement() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let first = story.task_of(&job, 1).await;
    named(&story, &job).await;
    story.pass(START_WITHIN).await;
    story.job_until(&job, waits("start_failed")).await;
    story.pass(Duration::from_secs(6)).await;
    let second = story.task_of(&job, 2).await;
    assert_ne!(told(&first, "PULLYARD_BOOTSTRAP"), told(&second, "PULLYARD_BOOTSTRAP"));
    assert_eq!(told(&first, "PULLYARD_ATTEMPT"), told(&second, "PULLYARD_ATTEMPT"));
    let (assignment, client) = story.claim_as(&first, &job, "quick").await.unwrap();
    assert_eq!(assignment.attempt, 1);
    let late = story.claim_as(&second, &job, "slow").await.err().unwrap();
    assert_eq!(late.code(), Some("lease_lost"));
    // The end of the losing task does not count as a death.
    let before = story.stored(&job).await;
    story.kill(&second).await;
    story.pass(2 * START_WITHIN).await;
    story.quiet().await;
    client.credentials().await.unwrap();
    assert_eq!(story.stored(&job).await["rev"], before["rev"]);
    assert_eq!(story.tasks_of(&job).await.len(), 2);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_change_of_a_foreign_task_is_ignored() {
    let story = Story::waiting().await;
    let ctx = context(&story).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    named(&story, &job).await;
    let before = story.stored(&job).await;
    let stopped =
        |by: Value, arn: &str| json!({ "detail": { "taskArn": arn, "lastStatus": "STOPPED", "startedBy": by } });
    let arn = before["dispatch"]["task"].as_str().unwrap();
    let unknown = format!("job_{}", "z".repeat(26));
    for event in [
        stopped(Value::Null, arn),
        stopped("ecs-svc/123".into(), arn),
        stopped(unknown.into(), arn),
        stopped(job.to_string().into(), "arn:aws:ecs:us-east-1:000000000000:task/pullyard/other"),
    ] {
        tell(&ctx, &event).await;
        assert_eq!(story.stored(&job).await, before, "{event}");
    }
    story.end().await;
}
