//! Tests of a job's task: its size, its capacity, and a Spot interruption.

use crate::prelude::*;
use pullyard_domain::project::task::{Task, TaskCapacity, TaskSize};

/// Longer than a finish may be on its way after the task died.
const GRACE: Duration = Duration::from_secs(16);

fn definition_and_capacity(task: &Value) -> (String, Value) {
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
    let ctx = story.function_context("dispatch", "effects.fifo").await;
    pullyard_function_tasks::handle(&ctx, event).await.unwrap();
}

fn waits_for_spot(job: &Job) -> bool {
    job.waits.as_ref().is_some_and(|wait| wait.code == "spot_interrupted")
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_keep_the_size_and_capacity_of_their_job() {
    let story = Story::start_with_waiting_tasks().await;
    let plain = story.create_job("e1", "APP-1", 1).await;
    assert_eq!(
        definition_and_capacity(&story.wait_for_task(&plain, 1).await),
        ("pullyard-runner:1".into(), "FARGATE".into())
    );
    assert_eq!(story.api.job(&plain).await.unwrap().task, Some(Task::default()));
    assert_eq!(story.load_job_item(&plain).await["task"], Value::Null, "the default is not stored");

    story
        .update_settings(|settings| {
            (settings.task_size, settings.task_capacity) = (TaskSize::Large, TaskCapacity::FargateSpot)
        })
        .await;
    let job = story.create_job("e2", "APP-2", 1).await;
    let first = story.wait_for_task(&job, 1).await;
    let large = ("pullyard-runner-large:1".to_owned(), Value::from("FARGATE_SPOT"));
    assert_eq!(definition_and_capacity(&first), large);

    story
        .update_settings(|settings| {
            (settings.task_size, settings.task_capacity) = (TaskSize::Small, TaskCapacity::Fargate)
        })
        .await;
    story.claim(&job, "c1").await.unwrap();
    interrupt(&story, &job, &first).await;
    story.advance_and_sweep(GRACE).await;
    assert_eq!(definition_and_capacity(&story.wait_for_task(&job, 2).await), large, "frozen at the job's creation");
    let task = Task { size: TaskSize::Large, capacity: TaskCapacity::FargateSpot };
    assert_eq!(story.api.job(&job).await.unwrap().task, Some(task));
    let small = story.create_job("e3", "APP-3", 1).await;
    assert_eq!(definition_and_capacity(&story.wait_for_task(&small, 1).await).0, "pullyard-runner-small:1");
}

#[tokio::test(flavor = "multi_thread")]
async fn task_gets_the_tags_of_its_definition() {
    let (story, job) = Story::with_job().await;
    let task = story.wait_for_task(&job, 1).await;
    let id = task["taskArn"].as_str().unwrap().rsplit('/').next().unwrap();
    let record = std::fs::read(story.folder().join("ecs/tasks").join(id).join("task.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["request"]["propagateTags"], "TASK_DEFINITION", "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn interruption_before_the_claim_uses_no_attempt() {
    let story = Story::start_with_waiting_tasks().await;
    story.update_settings(|settings| settings.task_capacity = TaskCapacity::FargateSpot).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    for number in 1..=4 {
        let task = story.wait_for_task(&job, number).await;
        wait_until("the start is named", async || {
            let stored = story.load_job_item(&job).await;
            if stored["dispatch"]["task"] == task["taskArn"] { Ok(()) } else { Err(stored.to_string()) }
        })
        .await;
        interrupt(&story, &job, &task).await;
        let waiting = story.wait_for_job(&job, waits_for_spot).await;
        assert_eq!((waiting.status, waiting.attempt), (JobStatus::Ready, 0));
        story.advance_and_sweep(Duration::from_secs(300)).await;
    }
    story.wait_for_task(&job, 5).await;
    let (assignment, _) = story.claim(&job, "c1").await.unwrap();
    assert_eq!(assignment.attempt, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_attempt_is_requeued_until_the_limit() {
    let story = Story::start_with_waiting_tasks().await;
    story
        .update_settings(|settings| {
            settings.task_capacity = TaskCapacity::FargateSpot;
            settings.limits.requeues = 1;
        })
        .await;
    let job = story.create_job("e1", "APP-1", 1).await;
    for number in 1..=2 {
        let task = story.wait_for_task(&job, number).await;
        let (_, client) = story.claim(&job, &format!("c{number}")).await.unwrap();
        enter_phases(&client, Phase::Executing).await;
        interrupt(&story, &job, &task).await;
        story.wait_for_noted_death(&job).await;
        story.advance_and_sweep(GRACE).await;
    }
    let failure = story.wait_for_end(&job).await.failure.unwrap();
    assert_eq!(failure.code, "spot_interrupted");
    assert!(failure.help.contains("task_capacity=fargate"), "{failure:?}");
}
