//! Tests of a job's task: its size, its capacity, and a Spot interruption.

use crate::story::{Story, begin_all, until};
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::task::{Task, TaskCapacity, TaskSize};
use pullyard_protocol::attempt::Phase;
use pullyard_protocol::job::Job;
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than a finish may be on its way after the task died.
const GRACE: Duration = Duration::from_secs(16);

fn like(task: &Value) -> (String, Value) {
    let definition = task["taskDefinitionArn"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    (definition, task["capacityProviderName"].clone())
}

/// Sends EventBridge's event of a Spot interruption, with the exit code of a runner that received SIGTERM.
async fn interrupt(story: &Story, job: &JobId, task: &Value) {
    let detail = json!({
        "taskArn": task["taskArn"], "lastStatus": "STOPPED", "startedBy": job.as_str(),
        "stopCode": "SpotInterruption", "stoppedReason": "Your Spot Task was interrupted.",
        "containers": [{ "exitCode": 143 }],
    });
    let event = serde_json::from_value(json!({ "detail": detail })).unwrap();
    let ctx = story.instance("dispatch", "effects.fifo").await;
    pullyard_function_tasks::handle(&ctx, event).await.unwrap();
}

fn waits_for_spot(job: &Job) -> bool {
    job.waits.as_ref().is_some_and(|wait| wait.code == "spot_interrupted")
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_keep_the_size_and_capacity_of_their_job() {
    let story = Story::waiting().await;
    let plain = story.job_for("e1", "APP-1", 1).await;
    assert_eq!(like(&story.task_of(&plain, 1).await), ("pullyard-runner:1".into(), "FARGATE".into()));
    assert_eq!(story.api.job(&plain).await.unwrap().task, Some(Task::default()));
    assert_eq!(story.stored(&plain).await["task"], Value::Null, "the default is not stored");

    story
        .settings(|settings| {
            (settings.task_size, settings.task_capacity) = (TaskSize::Large, TaskCapacity::FargateSpot)
        })
        .await;
    let job = story.job_for("e2", "APP-2", 1).await;
    let first = story.task_of(&job, 1).await;
    let large = ("pullyard-runner-large:1".to_owned(), Value::from("FARGATE_SPOT"));
    assert_eq!(like(&first), large);

    story
        .settings(|settings| (settings.task_size, settings.task_capacity) = (TaskSize::Small, TaskCapacity::Fargate))
        .await;
    story.claim(&job, "c1").await.unwrap();
    interrupt(&story, &job, &first).await;
    story.pass(GRACE).await;
    assert_eq!(like(&story.task_of(&job, 2).await), large, "frozen at the job's creation");
    let task = Task { size: TaskSize::Large, capacity: TaskCapacity::FargateSpot };
    assert_eq!(story.api.job(&job).await.unwrap().task, Some(task));
    let small = story.job_for("e3", "APP-3", 1).await;
    assert_eq!(like(&story.task_of(&small, 1).await).0, "pullyard-runner-small:1");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn task_gets_the_tags_of_its_definition() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    let id = task["taskArn"].as_str().unwrap().rsplit('/').next().unwrap();
    let record = std::fs::read(story.folder().join("ecs/tasks").join(id).join("task.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["request"]["propagateTags"], "TASK_DEFINITION", "{record}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interruption_before_the_claim_uses_no_attempt() {
    let story = Story::waiting().await;
    story.settings(|settings| settings.task_capacity = TaskCapacity::FargateSpot).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    for number in 1..=4 {
        let task = story.task_of(&job, number).await;
        until("the start is named", async || {
            let stored = story.stored(&job).await;
            if stored["dispatch"]["task"] == task["taskArn"] { Ok(()) } else { Err(stored.to_string()) }
        })
        .await;
        interrupt(&story, &job, &task).await;
        let waiting = story.job_until(&job, waits_for_spot).await;
        assert_eq!((waiting.status, waiting.attempt), (JobStatus::Ready, 0));
        story.pass(Duration::from_secs(300)).await;
    }
    story.task_of(&job, 5).await;
    let (assignment, _) = story.claim(&job, "c1").await.unwrap();
    assert_eq!(assignment.attempt, 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_attempt_is_requeued_until_the_limit() {
    let story = Story::waiting().await;
    story
        .settings(|settings| {
            settings.task_capacity = TaskCapacity::FargateSpot;
            settings.limits.requeues = 1;
        })
        .await;
    let job = story.job_for("e1", "APP-1", 1).await;
    for number in 1..=2 {
        let task = story.task_of(&job, number).await;
        let (_, client) = story.claim(&job, &format!("c{number}")).await.unwrap();
        begin_all(&client, Phase::Executing).await;
        interrupt(&story, &job, &task).await;
        story.died(&job).await;
        story.pass(GRACE).await;
    }
    let failure = story.ended(&job).await.failure.unwrap();
    assert_eq!(failure.code, "spot_interrupted");
    assert!(failure.help.contains("task_capacity=fargate"), "{failure:?}");
    story.end().await;
}
