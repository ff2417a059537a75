//! The lifecycle of an ECS task as its callers see it.

use pullyard_emulator::ecs::DiskCheck;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{World, client, within_limit, world, world_with_options};

#[tokio::test]
async fn task_reports_exit_code_or_128_plus_signal() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)] {
        let world = world(script).await;
        let arn = world.run().await;
        let task = world.wait_for_status(&arn, "STOPPED").await;
        assert_eq!(task["stopCode"], "EssentialContainerExited", "{task}");
        assert_eq!(task["containers"][0]["exitCode"], code, "{task}");
        assert_eq!(task["desiredStatus"], "STOPPED");
        let at = |name: &str| task[name].as_f64().unwrap();
        assert!(at("createdAt") <= at("startedAt") && at("startedAt") <= at("stoppedAt"), "{task}");
        world.aws.shutdown().await;
    }
}

#[tokio::test]
async fn missing_program_fails_to_start_with_a_reason() {
    let world = world_with_options(&["/no/such/program"], |_| {}).await;
    let arn = world.run().await;
    let task = world.wait_for_status(&arn, "STOPPED").await;
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task}");
    let reason = task["stoppedReason"].as_str().unwrap();
    assert!(reason.starts_with("CannotStartContainerError"), "{reason}");
    assert!(task["containers"][0].get("exitCode").is_none());
    assert!(task.get("startedAt").is_none());
    world.aws.shutdown().await;
}

#[tokio::test]
async fn each_status_has_an_event_with_a_rising_version() {
    let world = world_with_options(&["/bin/sh", "-c", "exit 3"], |options| {
        options.transition_delay = Duration::from_millis(100);
    })
    .await;
    let mut events = world.aws.ecs().subscribe();
    let request = json!({ "taskDefinition": "job:1", "startedBy": "me", "cluster": "c" });
    let (_, answer) = world.ecs("RunTask", request).await;
    let first = answer["tasks"][0].clone();
    assert_eq!(first["lastStatus"], "PROVISIONING");
    assert!(first["taskArn"].as_str().unwrap().contains(":task/c/"));
    let mut statuses = Vec::new();
    let mut version = 0;
    while statuses.last().is_none_or(|last| last != "STOPPED") {
        let event = within_limit("the next event", events.recv()).await.unwrap();
        let detail = &event["detail"];
        assert_eq!(event["source"], "aws.ecs");
        assert_eq!(event["detail-type"], "ECS Task State Change");
        assert_eq!(event["resources"], json!([first["taskArn"]]));
        assert_eq!(detail["startedBy"], "me");
        assert!(detail["version"].as_u64().unwrap() > version, "{event}");
        version = detail["version"].as_u64().unwrap();
        statuses.push(detail["lastStatus"].as_str().unwrap().to_owned());
        // The state on disk is at least as new as the event.
        let file = world.task_folder(first["taskArn"].as_str().unwrap()).join("task.json");
        let state: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert!(state["task"]["version"].as_u64().unwrap() >= version);
    }
    assert_eq!(statuses, ["PROVISIONING", "PENDING", "RUNNING", "STOPPED"]);
    world.aws.shutdown().await;
}

#[tokio::test]
async fn task_environment_has_definition_and_overrides_only() {
    let world = world("cat && env && exec sleep 1000").await;
    let request = json!({ "taskDefinition": "job", "overrides": { "containerOverrides": [
        { "name": "main", "command": ["/bin/false"], "environment": [{ "name": "GIVEN", "value": "by the call" }] },
    ] } });
    let (_, answer) = world.ecs("RunTask", request).await;
    let task = &answer["tasks"][0];
    let echoed = &task["overrides"]["containerOverrides"][0]["environment"][0]["name"];
    assert_eq!(echoed, "GIVEN", "{task}");
    let arn = task["taskArn"].as_str().unwrap();
    assert_eq!(world.wait_for_line(arn, "FROM=").await, "definition");
    assert_eq!(world.wait_for_line(arn, "GIVEN=").await, "by the call");
    let uri = world.wait_for_line(arn, "ECS_CONTAINER_METADATA_URI_V4=").await;
    // Cargo sets this variable for the test process.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!world.stdout(arn).contains("CARGO"));
    let answer = client().get(format!("{uri}/task")).send().await.unwrap();
    let me: Value = answer.json().await.unwrap();
    assert_eq!(me["TaskARN"], arn);
    world.aws.shutdown().await;
}

#[tokio::test]
async fn client_token_returns_its_task_or_conflicts() {
    let world = world("exec sleep 1000").await;
    let request = json!({ "taskDefinition": "job", "clientToken": "t", "startedBy": "a" });
    // Concurrent, so that both calls check the token before either stores it.
    let (one, two) = tokio::join!(world.ecs("RunTask", request.clone()), world.ecs("RunTask", request.clone()));
    let arn = one.1["tasks"][0]["taskArn"].clone();
    assert_eq!(two.1["tasks"][0]["taskArn"], arn);
    let other = json!({ "taskDefinition": "job", "clientToken": "t", "startedBy": "b" });
    let (status, conflict) = world.ecs("RunTask", other).await;
    assert_eq!(status, 400);
    assert_eq!(conflict["__type"], "ConflictException");
    let (_, listed) = world.ecs("ListTasks", json!({})).await;
    assert_eq!(listed, json!({ "taskArns": [arn] }));
    world.aws.shutdown().await;
}

async fn check_refused(world: &World, request: Value, kind: &str) {
    let (status, answer) = world.ecs("RunTask", request.clone()).await;
    assert_eq!((status, answer["__type"].as_str()), (400, Some(kind)), "{request} {answer}");
}

#[tokio::test]
async fn calls_beyond_the_limits_are_rejected() {
    let world = world("true").await;
    let invalid = "InvalidParameterException";
    let with = |name: &str, value: Value| json!({ "taskDefinition": "job", name: value });
    check_refused(&world, with("startedBy", json!("x".repeat(129))), invalid).await;
    check_refused(&world, with("clientToken", json!("x".repeat(65))), invalid).await;
    check_refused(&world, with("cluster", json!("")), invalid).await;
    let long = json!([{ "name": "main", "environment": [{ "name": "A", "value": "x".repeat(8192) }] }]);
    check_refused(&world, with("overrides", json!({ "containerOverrides": long })), invalid).await;
    let other = json!({ "containerOverrides": [{ "name": "other" }] });
    check_refused(&world, with("overrides", other), invalid).await;
    check_refused(&world, with("taskDefinition", json!("nothing")), "ClientException").await;
    check_refused(&world, with("taskDefinition", json!("job:2")), "ClientException").await;
    check_refused(&world, json!({}), "ClientException").await;
    check_refused(&world, with("startedBy", json!(2)), "SerializationException").await;
    let (_, listed) = world.ecs("ListTasks", json!({ "desiredStatus": "STOPPED" })).await;
    assert_eq!(listed, json!({ "taskArns": [] }));
    world.aws.shutdown().await;
}

#[tokio::test]
async fn unknown_task_is_missing_in_describe_and_invalid_in_stop() {
    let world = world("exec sleep 1000").await;
    let arn = world.run().await;
    let request = json!({ "tasks": ["0123", arn], "cluster": "default" });
    let (status, answer) = world.ecs("DescribeTasks", request).await;
    assert_eq!(status, 200);
    assert_eq!(answer["tasks"][0]["taskArn"], arn.as_str());
    let missing = "arn:aws:ecs:us-east-1:000000000000:task/default/0123";
    assert_eq!(answer["failures"], json!([{ "arn": missing, "reason": "MISSING" }]));
    let (_, elsewhere) = world.ecs("DescribeTasks", json!({ "tasks": [arn], "cluster": "c" })).await;
    assert_eq!(elsewhere["failures"][0]["reason"], "MISSING");
    let (status, refused) = world.ecs("StopTask", json!({ "task": "0123" })).await;
    assert_eq!((status, &refused["__type"]), (400, &json!("InvalidParameterException")));
    world.aws.shutdown().await;
}

#[tokio::test]
async fn task_list_is_filtered() {
    let world = world("exec sleep 1000").await;
    for by in ["a", "a", "b", "b"] {
        let request = json!({ "taskDefinition": "job", "startedBy": by });
        assert_eq!(world.ecs("RunTask", request).await.0, 200);
    }
    let count = async |request: Value| {
        let (_, answer) = world.ecs("ListTasks", request).await;
        answer["taskArns"].as_array().unwrap().len()
    };
    assert_eq!(count(json!({})).await, 4);
    assert_eq!(count(json!({ "startedBy": "a" })).await, 2);
    assert_eq!(count(json!({ "desiredStatus": "STOPPED" })).await, 0);
    world.aws.shutdown().await;
}

#[tokio::test]
async fn task_shows_its_capacity_provider() {
    let world = world("exit 0").await;
    let with = |provider: &str| json!({ "taskDefinition": "job", "capacityProviderStrategy": [{ "capacityProvider": provider }] });
    for provider in ["FARGATE", "FARGATE_SPOT"] {
        let (status, answer) = world.ecs("RunTask", with(provider)).await;
        assert_eq!((status, &answer["tasks"][0]["capacityProviderName"]), (200, &json!(provider)), "{answer}");
    }
    check_refused(&world, with("FARGATE_SOPT"), "InvalidParameterException").await;
    world.aws.shutdown().await;
}

#[tokio::test]
async fn task_beyond_the_limit_is_refused_until_one_stops() {
    let world = world_with_options(&["sleep", "1000"], |options| options.max_tasks = Some(1)).await;
    let request = json!({ "taskDefinition": "job", "clientToken": "first" });
    let (_, answer) = world.ecs("RunTask", request.clone()).await;
    let first = answer["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    let refused = (200, json!({ "tasks": [], "failures": [{ "reason": "RESOURCE:MEMORY" }] }));
    let second = json!({ "taskDefinition": "job", "clientToken": "second" });
    assert_eq!(world.ecs("RunTask", second.clone()).await, refused);
    let (_, again) = world.ecs("RunTask", request).await;
    assert_eq!(again["tasks"][0]["taskArn"], *first, "a repeated call finds its task");
    world.ecs("StopTask", json!({ "task": first })).await;
    world.wait_for_status(&first, "STOPPED").await;
    let (_, answer) = world.ecs("RunTask", second).await;
    assert!(answer["tasks"][0]["taskArn"].is_string(), "{answer}");
    world.aws.shutdown().await;
}

#[tokio::test]
async fn task_is_refused_while_the_disk_lacks_space() {
    let mut low = PathBuf::new();
    let world = world_with_options(&["sleep", "1000"], |options| {
        let folder = options.data_dir.join("low");
        std::fs::create_dir_all(&folder).unwrap();
        low.clone_from(&folder);
        let find_low_space = |folder: &Path| folder.exists().then(|| "it has 900 MB left".to_owned());
        options.disk_check = Some(DiskCheck { folder, find_low_space });
    })
    .await;
    let run = async || world.ecs("RunTask", json!({ "taskDefinition": "job", "clientToken": "token" })).await;
    assert_eq!(run().await, (200, json!({ "tasks": [], "failures": [{ "reason": "RESOURCE:MEMORY" }] })));
    std::fs::remove_dir(low).unwrap();
    let (_, answer) = run().await;
    assert!(answer["tasks"][0]["taskArn"].is_string(), "{answer}");
    world.aws.shutdown().await;
}

#[tokio::test]
async fn concurrent_calls_without_tokens_respect_the_limit() {
    let world = world_with_options(&["sleep", "1000"], |options| options.max_tasks = Some(1)).await;
    let run = || world.ecs("RunTask", json!({ "taskDefinition": "job" }));
    let answers = tokio::join!(run(), run(), run(), run());
    let answers = [answers.0, answers.1, answers.2, answers.3];
    let started = answers.iter().filter(|(_, answer)| answer["tasks"][0]["taskArn"].is_string()).count();
    assert_eq!(started, 1, "{answers:?}");
    world.aws.shutdown().await;
}
