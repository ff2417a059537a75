//! Tests starts of tasks, and tasks that die before a claim; `faults` has every failure of ECS, `order` a full machine.

mod breakers;
mod faults;
mod order;

use crate::prelude::*;
use crate::processes::recorder::Recorder;
use futures::future::join_all;
use pullyard_entry::config::TaskNetwork;

/// The time after which an unclaimed start counts as failed.
const START_WITHIN: Duration = Duration::from_secs(300);

/// Another instance of a function; its starts have the same parameters.
async fn function_context(story: &Story) -> pullyard_entry::Context {
    story.function_context("dispatch", "effects.fifo").await
}

async fn dispatch(ctx: &pullyard_entry::Context, job: &JobId) {
    let record = json!({ "messageId": "m", "body": json!({ "job": job }).to_string(), "attributes": {} });
    let event = serde_json::from_value(json!({ "Records": [record] })).unwrap();
    pullyard_function_dispatcher::handle(ctx, event).await;
}

async fn handle_state_change(ctx: &pullyard_entry::Context, event: &Value) {
    pullyard_function_tasks::handle(ctx, serde_json::from_value(event.clone()).unwrap()).await.unwrap();
}

fn is_waiting_for(code: &'static str) -> impl Fn(&Job) -> bool {
    move |job| job.waits.as_ref().is_some_and(|wait| wait.code == code)
}

async fn wait_for_task_arn(story: &Story, job: &JobId) {
    wait_until("the start is named", async || {
        let job = story.load_job_item(job).await;
        if job["dispatch"]["task"].is_string() { Ok(()) } else { Err(job.to_string()) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_wake_ups_start_one_task_per_attempt() {
    let story = Story::start_with_waiting_tasks().await;
    let ctx = function_context(&story).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    tokio::join!(join_all((0..12).map(|_| story.send_wake_up(&job))), join_all((0..12).map(|_| dispatch(&ctx, &job))));
    wait_for_task_arn(&story, &job).await;
    story.wait_for_empty_queues().await;
    assert_eq!(story.list_tasks(&job).await.len(), 1);
    story.claim(&job, "c1").await.unwrap();
    dispatch(&ctx, &job).await;
    story.send_wake_up(&job).await;
    story.advance_and_sweep(2 * START_WITHIN).await;
    story.wait_for_empty_queues().await;
    assert_eq!(story.list_tasks(&job).await.len(), 1);
    assert_eq!(story.load_job_item(&job).await["dispatch"]["number"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn task_is_started_in_the_configured_network() {
    let story = Story::start_with(Setup { task: Task::Waiting, hints: HintDelivery::Drop, ..Setup::default() }).await;
    let recorder = Recorder::default();
    let ecs = recorder.start_proxy(&story.local.aws().endpoints().ecs).await;
    for (key, public_ip, assign_public_ip) in [("APP-1", true, "ENABLED"), ("APP-2", false, "DISABLED")] {
        let (subnets, security_groups) = (vec!["subnet-a".into(), "subnet-b".into()], vec!["sg-a".into()]);
        let mut config = story.function_config("dispatch", "effects.fifo").await;
        config.network = Some(TaskNetwork { subnets, security_groups, public_ip });
        config.endpoints.ecs = Some(ecs.clone());
        let job = story.create_job(key, key, 1).await;
        recorder.begin();
        dispatch(&story.function_context_of(config).await, &job).await;
        let calls = recorder.end();
        let run = calls.iter().find(|call| call["operation"] == "RunTask").unwrap();
        let expected = json!({
            "subnets": ["subnet-a", "subnet-b"], "securityGroups": ["sg-a"], "assignPublicIp": assign_public_ip,
        });
        assert_eq!(run["body"]["networkConfiguration"], json!({ "awsvpcConfiguration": expected }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_lost_beyond_sdk_retries_leads_to_the_same_task() {
    let story = Story::start_with(Setup { task: Task::Waiting, hints: HintDelivery::Drop, ..Setup::default() }).await;
    let ctx = function_context(&story).await;
    story.local.aws().ecs().queue_outcomes(vec![RunTaskOutcome::ResponseLost; 6]);
    let job = story.create_job("e1", "APP-1", 1).await;
    while !story.load_job_item(&job).await["dispatch"]["task"].is_string() {
        dispatch(&ctx, &job).await;
    }
    assert_eq!(story.list_tasks(&job).await.len(), 1);
    assert_eq!(story.load_job_item(&job).await["dispatch"]["number"], 1);
    let (assignment, _) = story.claim(&job, "c1").await.unwrap();
    assert_eq!(assignment.attempt, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn job_fails_after_three_tasks_died_before_their_claim() {
    let (story, job) = Story::with_job().await;
    for (number, back_off) in (1..=3).zip([5, 10, 20]) {
        let task = story.wait_for_task(&job, number).await;
        wait_for_task_arn(&story, &job).await;
        story.kill_task(&task).await;
        let waiting = story.wait_for_job(&job, is_waiting_for("start_failed")).await;
        assert_eq!(waiting.attempt, 0);
        assert!(waiting.waits.unwrap().sentence.contains("signal 9"));
        story.advance_and_sweep(Duration::from_secs(back_off + 1)).await;
    }
    let failure = story.wait_for_end(&job).await.failure.unwrap();
    assert_eq!(failure.code, "task_never_started");
    assert_eq!(story.list_tasks(&job).await.len(), 3);
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_task_may_still_claim_before_its_replacement() {
    let (story, job) = Story::with_job().await;
    let first = story.wait_for_task(&job, 1).await;
    wait_for_task_arn(&story, &job).await;
    story.advance_and_sweep(START_WITHIN).await;
    story.wait_for_job(&job, is_waiting_for("start_failed")).await;
    story.advance_and_sweep(Duration::from_secs(6)).await;
    let second = story.wait_for_task(&job, 2).await;
    assert_ne!(task_variable(&first, "PULLYARD_BOOTSTRAP"), task_variable(&second, "PULLYARD_BOOTSTRAP"));
    assert_eq!(task_variable(&first, "PULLYARD_ATTEMPT"), task_variable(&second, "PULLYARD_ATTEMPT"));
    let (assignment, client) = story.claim_with_task(&first, &job, "quick").await.unwrap();
    assert_eq!(assignment.attempt, 1);
    let late = story.claim_with_task(&second, &job, "slow").await.err().unwrap();
    assert_eq!(late.code(), Some("lease_lost"));
    // The end of the losing task does not count as a death.
    let before = story.load_job_item(&job).await;
    story.kill_task(&second).await;
    story.advance_and_sweep(2 * START_WITHIN).await;
    story.wait_for_empty_queues().await;
    client.credentials().await.unwrap();
    assert_eq!(story.load_job_item(&job).await["rev"], before["rev"]);
    assert_eq!(story.list_tasks(&job).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_change_of_a_foreign_task_is_ignored() {
    let story = Story::start_with_waiting_tasks().await;
    let ctx = function_context(&story).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    wait_for_task_arn(&story, &job).await;
    let before = story.load_job_item(&job).await;
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
        handle_state_change(&ctx, &event).await;
        assert_eq!(story.load_job_item(&job).await, before, "{event}");
    }
}
