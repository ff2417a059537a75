//! Tests starts of tasks, and tasks that die before a claim; `faults` has every failure of ECS.

mod breakers;
mod faults;

use crate::processes::recorder::Recorder;
use crate::story::{Setup, Story, TODO, Task, told, until};
use futures::future::join_all;
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::time::Timestamp;
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
async fn racing_dispatchers_agree_on_the_dispatch_number() {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let ctx = context(&story).await;
    for n in 0..4 {
        let job = story.job_for(&format!("e{n}"), &format!("APP-{n}"), 1).await;
        join_all((0..16).map(|_| dispatch(&ctx, &job))).await;
        dispatch(&ctx, &job).await;
        assert_eq!(story.tasks_of(&job).await.len(), 1);
        assert_eq!(story.stored(&job).await["dispatch"]["number"], 1);
    }
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

async fn check_lost_answers(count: usize) {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let ctx = context(&story).await;
    story.local.aws().ecs().script(vec![Outcome::AnswerLost; count]);
    let job = story.job_for("e1", "APP-1", 1).await;
    while !story.stored(&job).await["dispatch"]["task"].is_string() {
        dispatch(&ctx, &job).await;
    }
    assert_eq!(story.tasks_of(&job).await.len(), 1, "{count}");
    assert_eq!(story.stored(&job).await["dispatch"]["number"], 1, "{count}");
    let (assignment, _) = story.claim(&job, "c1").await.unwrap();
    assert_eq!(assignment.attempt, 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_run_task_answer_leads_to_the_same_task() {
    check_lost_answers(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_lost_beyond_sdk_retries_leads_to_the_same_task() {
    check_lost_answers(6).await;
}

/// Verifies that a start with these faults uses up no attempt, reports `code` and is repeated.
async fn check_passing_fault(outcomes: &[Outcome], code: &'static str) {
    let story = Story::waiting().await;
    story.local.aws().ecs().script(outcomes.to_vec());
    let job = story.job_for("e1", "APP-1", 1).await;
    let waiting = story.job_until(&job, waits(code)).await;
    assert_eq!((waiting.status, waiting.attempt), (JobStatus::Ready, 0), "{outcomes:?}");
    assert_eq!(story.api.why(&job).await.unwrap().code.as_deref(), Some(code));
    story.quiet().await;
    story.wake(&job).await;
    story.quiet().await;
    assert_eq!(story.tasks_of(&job).await.len(), 0, "{outcomes:?}");
    story.pass(Duration::from_secs(6)).await;
    story.task_of(&job, 1).await;
    assert_eq!(story.stored(&job).await["dispatch"]["number"], 2, "{outcomes:?}");
    let (assignment, _) = story.claim(&job, "c1").await.unwrap();
    assert_eq!(assignment.attempt, 1, "{outcomes:?}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_memory_uses_up_no_attempt() {
    check_passing_fault(&[Outcome::ResourceMemory], "fargate_capacity").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_capacity_uses_up_no_attempt() {
    check_passing_fault(&[Outcome::CapacityUnavailable], "fargate_capacity").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_beyond_sdk_retries_uses_up_no_attempt() {
    check_passing_fault(&[Outcome::Throttled; 4], "fargate_throttled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_exceeded_failure_uses_up_no_attempt() {
    check_passing_fault(&[Outcome::RateExceeded], "fargate_throttled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_retries_back_off_up_to_five_minutes() {
    let story = Story::waiting().await;
    story.local.aws().ecs().script(vec![Outcome::CapacityUnavailable; 8]);
    let mut tried_after = story.clock.now();
    let job = story.job_for("e1", "APP-1", 1).await;
    for (number, back_off) in (1..).zip([5, 10, 20, 40, 80, 160, 300, 300]) {
        let due = until("the start is put off", async || {
            let dispatch = story.stored(&job).await["dispatch"].take();
            let put_off = dispatch["number"] == number && dispatch["starting"] == false;
            if put_off { Ok(dispatch["due"].as_i64().unwrap()) } else { Err(dispatch.to_string()) }
        })
        .await;
        let (due, now) = (Timestamp::from_millis(due), story.clock.now());
        let rest = Duration::from_secs(back_off);
        // The start was postponed at some time between these two.
        assert!(tried_after.plus(rest) <= due && due <= now.plus(rest), "{number}: {tried_after} {due} {now}");
        tried_after = now;
        story.pass(due.since(now)).await;
    }
    story.task_of(&job, 1).await;
    assert_eq!(story.stored(&job).await["dispatch"]["number"], 9);
    story.claim(&job, "c1").await.unwrap();
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_without_capacity_for_a_day_fails() {
    let story = Story::waiting().await;
    story.local.aws().ecs().script(vec![Outcome::CapacityUnavailable]);
    let job = story.job_for("e1", "APP-1", 1).await;
    story.job_until(&job, waits("fargate_capacity")).await;
    story.pass(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "never_claimed");
    let ticket = story.settled("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_refused_three_times_fails_the_job_without_a_task() {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    // The client tokens are used already, so ECS refuses every start with a conflict.
    for number in 1..=4 {
        let other = json!({
            "cluster": "pullyard", "taskDefinition": "pullyard-runner", "startedBy": "somebody-else",
            "clientToken": format!("{job}-1-{number}"),
        });
        story.ecs("RunTask", other).await;
    }
    for (number, time) in (1..=3).zip([61, 6, 11]) {
        story.pass(Duration::from_secs(time)).await;
        until("the start is put off", async || {
            let dispatch = story.stored(&job).await["dispatch"].take();
            if dispatch["fault"]["times"] == number { Ok(()) } else { Err(dispatch.to_string()) }
        })
        .await;
        assert!(waits("start_failed")(&story.api.job(&job).await.unwrap()));
    }
    story.pass(Duration::from_secs(21)).await;
    let ended = story.ended(&job).await;
    assert_eq!((ended.status, ended.attempt), (JobStatus::Failed, 0));
    let failure = ended.failure.unwrap();
    assert_eq!(failure.code, "task_never_started");
    assert!(failure.facts.to_string().contains("clientToken"), "{}", failure.facts);
    assert_eq!(story.tasks_of(&job).await.len(), 0);
    let ticket = story.settled("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    // No agent ran, so the next entry gets a job.
    story.job_for("e2", "APP-1", 2).await;
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

/// Verifies that a job fails whose task runs `program` and never claims it.
async fn check_given_up(program: &str) {
    let story = Story::with(Setup { task: Task::Program(vec![program.into()]), ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    until("it is given up", async || {
        story.quiet().await;
        story.pass(START_WITHIN).await;
        let job = story.api.job(&job).await.unwrap();
        if job.status == JobStatus::Failed { Ok(()) } else { Err(format!("{job:?}")) }
    })
    .await;
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "task_never_started");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn task_dead_before_its_arn_is_stored_fails_the_job() {
    check_given_up("false").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn program_that_cannot_start_fails_the_job() {
    check_given_up("/no/such/program").await;
}

/// A job with a silent first task and its replacement.
async fn with_two_tasks() -> (Story, JobId, [Value; 2]) {
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
    (story, job, [first, second])
}

async fn check_first_come(first: usize) {
    let (story, job, tasks) = with_two_tasks().await;
    let (assignment, client) = story.claim_as(&tasks[first], &job, "quick").await.unwrap();
    assert_eq!(assignment.attempt, 1);
    let late = story.claim_as(&tasks[1 - first], &job, "slow").await.err().unwrap();
    assert_eq!(late.code(), Some("lease_lost"));
    // The end of the losing task does not count as a death.
    let before = story.stored(&job).await;
    story.kill(&tasks[1 - first]).await;
    story.pass(2 * START_WITHIN).await;
    story.quiet().await;
    client.credentials().await.unwrap();
    assert_eq!(story.stored(&job).await["rev"], before["rev"]);
    assert_eq!(story.tasks_of(&job).await.len(), 2);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_task_may_still_claim_first() {
    check_first_come(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replacement_of_a_silent_task_may_claim_first() {
    check_first_come(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_fails_after_three_silent_tasks() {
    let (story, job, _) = with_two_tasks().await;
    named(&story, &job).await;
    story.pass(START_WITHIN).await;
    story.job_until(&job, waits("start_failed")).await;
    story.pass(Duration::from_secs(11)).await;
    story.task_of(&job, 3).await;
    named(&story, &job).await;
    story.pass(START_WITHIN).await;
    story.job_until(&job, waits("start_failed")).await;
    story.pass(Duration::from_secs(21)).await;
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "task_never_started");
    assert_eq!(story.tasks_of(&job).await.len(), 3);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_reordered_state_changes_are_ignored() {
    let story = Story::waiting().await;
    let ctx = context(&story).await;
    let mut changes = story.local.aws().ecs().events();
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    let before = story.stored(&job).await;
    let mut told = Vec::new();
    while told.iter().all(|event: &Value| event["detail"]["lastStatus"] != "RUNNING") {
        told.push(changes.recv().await.unwrap());
    }
    for event in told.iter().rev().chain(&told) {
        tell(&ctx, event).await;
    }
    assert_eq!(story.stored(&job).await, before);

    story.kill(&task).await;
    while told.iter().all(|event: &Value| event["detail"]["lastStatus"] != "STOPPED") {
        told.push(changes.recv().await.unwrap());
    }
    story.died(&job).await;
    let before = story.stored(&job).await;
    join_all(told.iter().chain(&told).rev().map(|event| tell(&ctx, event))).await;
    assert_eq!(story.stored(&job).await, before);
    client.credentials().await.unwrap();

    story.pass(Duration::from_secs(16)).await;
    story.task_of(&job, 2).await;
    let (assignment, client) = story.claim(&job, "c2").await.unwrap();
    assert_eq!(assignment.attempt, 2);
    let before = story.stored(&job).await;
    join_all(told.iter().chain(&told).map(|event| tell(&ctx, event))).await;
    assert_eq!(story.stored(&job).await, before);
    client.credentials().await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn claim_by_a_dead_task_does_not_block_the_job() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    named(&story, &job).await;
    story.kill(&task).await;
    story.job_until(&job, waits("start_failed")).await;
    // The claim arrives after the container's death.
    let _ = story.claim_as(&task, &job, "c1").await;
    story.pass(START_WITHIN).await;
    story.quiet().await;
    story.pass(START_WITHIN).await;
    let tasks = story.tasks_of(&job).await.len();
    assert_eq!(tasks, 2, "the job got no new task: {:?}", story.api.job(&job).await.unwrap());
    story.end().await;
}
