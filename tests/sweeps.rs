//! Tests repairs by the sweeper: lost hints, overdue jobs and unreadable items; also dead containers and late moves.

mod deaths;
mod entries;

use crate::functions::invoke;
use crate::story::{REVIEW, Setup, Story, TODO, TRIGGER, Task, begin_all, failed, is, told, until};
use futures::future::join_all;
use pullyard_domain::id::ProjectId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::{Compute, Limits, OfflinePolicy, Settings};
use pullyard_emulator::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use pullyard_entry::config;
use pullyard_local::Hints;
use pullyard_protocol::attempt::Phase;
use pullyard_protocol::job::Job;
use pullyard_protocol::project::CreateProject;
use pullyard_testkit::{Fault, Wire};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than the delay after which a wake-up counts as lost.
const WAKE: Duration = Duration::from_secs(61);
/// Longer than the grace period for a finish after a death.
const GRACE: Duration = Duration::from_secs(16);

fn settings(limits: Limits, offline: OfflinePolicy) -> Settings {
    Settings { limits, offline, ..Setup::default().settings }
}

/// Sweeps until `look` succeeds, because without hints every step waits for a sweep.
async fn swept<T>(story: &Story, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    until(what, async || {
        story.local.sweep().await.unwrap();
        look().await
    })
    .await
}

async fn assert_failed(story: &Story, key: &str) {
    let ticket = story.settled(key).await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
}

/// Verifies one branch with one commit, one pull request, and the ticket in review.
async fn assert_done_once(story: &Story, job: &Job) {
    assert_eq!(job.status, JobStatus::Completed, "{:?}", job.failure);
    let branches = story.branches().await;
    assert_eq!(branches.len(), 1, "{branches:?}");
    assert_eq!(story.git(&["rev-list", "--count", &format!("main..{}", branches[0])]).await, "1");
    let pulls = story.pulls().await;
    assert_eq!(pulls.len(), 1, "{pulls:?}");
    let result = job.result.as_ref().unwrap();
    assert_eq!(pulls[0]["head"]["sha"], result.head);
    assert_eq!(pulls[0]["number"], result.number);
    let ticket = story.settled(job.ticket.as_ref().unwrap().as_str()).await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (REVIEW, 0));
    assert_eq!(ticket.pull_request.as_ref(), Some(&result.url));
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_complete_a_job_whose_hints_are_all_lost() {
    let story = Story::with(Setup { hints: Hints::AreLost, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    // The sweeper acts only once the wake-up counts as lost.
    story.local.sweep().await.unwrap();
    story.quiet().await;
    assert_eq!(story.tasks_of(&job).await.len(), 0);
    story.pass(WAKE).await;
    let ended = story.ended(&job).await;
    assert_eq!(ended.status, JobStatus::Completed, "{:?}", ended.failure);
    assert_done_once(&story, &ended).await;
    story.quiet().await;
    story.clock.advance(Duration::from_secs(86_400));
    let swept = story.api.sweep().await.unwrap();
    assert_eq!(swept.looked_at, swept.looks, "only polls of the repository are due: {swept:?}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_alone_repair_a_failed_start_and_a_death() {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    story.local.aws().ecs().script(vec![pullyard_emulator::ecs::Outcome::CapacityUnavailable]);
    let job = story.job_for("e1", "APP-1", 1).await;
    story.pass(WAKE).await;
    story.job_until(&job, |job| job.waits.as_ref().is_some_and(|wait| wait.code == "fargate_capacity")).await;
    story.pass(Duration::from_secs(6)).await;
    let task = story.task_of(&job, 1).await;
    story.claim(&job, "c1").await.unwrap();
    story.kill(&task).await;
    story.died(&job).await;
    story.pass(GRACE).await;
    story.job_until(&job, is(JobStatus::Ready)).await;
    story.pass(WAKE).await;
    story.task_of(&job, 2).await;
    let (assignment, client) = story.claim(&job, "c2").await.unwrap();
    assert_eq!(assignment.attempt, 2);
    client.finish(&failed("f1")).await.unwrap();
    story.local.sweep().await.unwrap();
    assert_failed(&story, "APP-1").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_sweeps_do_the_work_of_one() {
    let story = Story::waiting().await;
    let mut jobs = Vec::new();
    for n in 0..3 {
        let job = story.job_for(&format!("e{n}"), &format!("APP-{n}"), 1).await;
        let task = story.task_of(&job, 1).await;
        let (_, client) = story.claim(&job, "c1").await.unwrap();
        begin_all(&client, if n == 0 { Phase::Executing } else { Phase::Preparing }).await;
        story.kill(&task).await;
        story.died(&job).await;
        jobs.push(job);
    }
    story.clock.advance(GRACE);
    join_all((0..12).map(|n| {
        let story = &story;
        async move {
            if n % 2 == 0 {
                story.local.sweep().await.unwrap();
            } else {
                story.api.sweep().await.unwrap();
            }
        }
    }))
    .await;
    assert_eq!(story.ended(&jobs[0]).await.failure.unwrap().code, "runner_crashed");
    assert_failed(&story, "APP-0").await;
    for job in &jobs[1..] {
        story.task_of(job, 2).await;
        story.quiet().await;
        assert_eq!(story.tasks_of(job).await.len(), 2);
        assert_eq!(story.stored(job).await["requeues"], 1);
        let (assignment, _) = story.claim(job, "c2").await.unwrap();
        assert_eq!(assignment.attempt, 2);
    }
    let before = join_all(jobs.iter().map(|job| story.stored(job))).await;
    join_all((0..6).map(|_| story.api.sweep())).await;
    assert_eq!(join_all(jobs.iter().map(|job| story.stored(job))).await, before);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_item_is_postponed_and_blocks_no_other() {
    let story = Story::waiting().await;
    let (sick, well) = (story.job_for("e1", "APP-1", 1).await, story.job_for("e2", "APP-2", 1).await);
    for job in [&sick, &well] {
        let (_, client) = story.claim(job, "c1").await.unwrap();
        begin_all(&client, Phase::Executing).await;
    }
    story.quiet().await;
    let edit = |expression: &str, values: Value| {
        let mut edit = json!({
            "TableName": "pullyard",
            "Key": { "pk": { "S": "TICKET#acme#APP-1" }, "sk": { "S": "TICKET" } },
            "UpdateExpression": expression,
            "ExpressionAttributeNames": { "#status": "status" },
        });
        if !values.is_null() {
            edit["ExpressionAttributeValues"] = values;
        }
        edit
    };
    story.dynamodb("UpdateItem", edit("REMOVE #status", Value::Null)).await;
    story.clock.advance(Duration::from_secs(3_661));
    let report = story.api.sweep().await.unwrap();
    assert_eq!((report.failed, report.ended), (1, 1), "{report:?}");
    assert_eq!(story.ended(&well).await.failure.unwrap().code, "time_limit");
    // The back-off is one minute, then two.
    for (tries, wait) in [(1, 61), (2, 121)] {
        assert_eq!(story.stored(&sick).await["tries"], tries);
        assert_eq!(story.api.sweep().await.unwrap().failed, 0);
        story.clock.advance(Duration::from_secs(wait - 10));
        assert_eq!(story.api.sweep().await.unwrap().failed, 0);
        story.clock.advance(Duration::from_secs(10));
        if tries == 1 {
            assert_eq!(story.api.sweep().await.unwrap().failed, 1);
        }
    }
    story.dynamodb("UpdateItem", edit("SET #status = :status", json!({ ":status": { "S": TRIGGER } }))).await;
    assert_eq!(story.api.sweep().await.unwrap().ended, 1);
    assert_eq!(story.ended(&sick).await.failure.unwrap().code, "time_limit");
    assert_failed(&story, "APP-1").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_item_is_postponed_an_hour_and_blocks_no_other() {
    let story = Story::waiting().await;
    let (sick, well) = (story.job_for("e1", "APP-1", 1).await, story.job_for("e2", "APP-2", 1).await);
    for job in [&sick, &well] {
        let (_, client) = story.claim(job, "c1").await.unwrap();
        begin_all(&client, Phase::Executing).await;
    }
    story.quiet().await;
    // Make the job unreadable, and place it before the other one in the index.
    let key = json!({ "pk": { "S": format!("JOB#{sick}") }, "sk": { "S": "JOB" } });
    let kept = story.dynamodb("GetItem", json!({ "TableName": "pullyard", "Key": key })).await["Item"].take();
    let row = story.stored(&well).await;
    let broken = json!({
        "TableName": "pullyard",
        "Key": key,
        "UpdateExpression": "SET wk = :wk, ws = :ws REMOVE #status",
        "ExpressionAttributeNames": { "#status": "status" },
        "ExpressionAttributeValues": { ":wk": { "S": row["wk"] }, ":ws": { "N": "1" } },
    });
    story.dynamodb("UpdateItem", broken).await;
    story.clock.advance(Duration::from_secs(3_661));
    let report = story.api.sweep().await.unwrap();
    assert_eq!((report.failed, report.ended), (1, 1), "{report:?}");
    assert_eq!(story.ended(&well).await.failure.unwrap().code, "time_limit");
    // An unreadable item cannot store tries, so it is postponed by the longest back-off.
    for (secs, failed) in [(0, 0), (60, 0), (2_900, 0), (700, 1), (60, 0)] {
        story.clock.advance(Duration::from_secs(secs));
        assert_eq!(story.api.sweep().await.unwrap().failed, failed, "after another {secs} s");
    }
    story.dynamodb("PutItem", json!({ "TableName": "pullyard", "Item": kept })).await;
    assert_eq!(story.api.sweep().await.unwrap().ended, 1);
    assert_eq!(story.ended(&sick).await.failure.unwrap().code, "time_limit");
    assert_failed(&story, "APP-1").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unsettleable_ticket_is_postponed_and_blocks_no_other() {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let mut finished = Vec::new();
    for key in ["APP-1", "APP-2"] {
        let job = story.job_for(key, key, 1).await;
        story.pass(WAKE).await;
        let (_, client) = story.claim(&job, "c1").await.unwrap();
        finished.push(job);
        if key == "APP-2" {
            client.finish(&failed("f1")).await.unwrap();
        } else {
            let key = json!({ "pk": { "S": "PROJECT#acme" }, "sk": { "S": "SETTINGS" } });
            let kept = story.dynamodb("GetItem", json!({ "TableName": "pullyard", "Key": key })).await["Item"].take();
            story.dynamodb("DeleteItem", json!({ "TableName": "pullyard", "Key": key })).await;
            client.finish(&failed("f1")).await.unwrap();
            story.local.sweep().await.unwrap();
            until("it is put off", async || {
                let ticket = story.item("TICKET#acme#APP-1", "TICKET").await;
                if ticket["tries"] == 1 { Ok(()) } else { Err(ticket.to_string()) }
            })
            .await;
            story.dynamodb("PutItem", json!({ "TableName": "pullyard", "Item": kept })).await;
            let report = story.api.sweep().await.unwrap();
            assert_eq!(report.tickets, 0, "{report:?}");
        }
    }
    swept(&story, "both are settled", async || {
        let (one, two) = (story.ticket("APP-1").await, story.ticket("APP-2").await);
        if one.synced && two.synced { Ok(()) } else { Err(format!("{one:?} {two:?}")) }
    })
    .await;
    assert_failed(&story, "APP-1").await;
    assert_failed(&story, "APP-2").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_project_and_job_block_no_other_jobs_end() {
    let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
    let story = Story::with(Setup { task: Task::Waiting, settings, ..Setup::default() }).await;
    let (sick, well) = (story.job_for("e1", "APP-1", 1).await, story.job_for("e2", "APP-2", 2).await);
    // This project is read before the one of the jobs.
    let id = ProjectId::new("aaa").unwrap();
    let create = CreateProject { id: id.clone(), name: id.to_string(), settings: Settings::default() };
    story.api.create_project(&create).await.unwrap();
    let edit = |pk: String, sk: &str, expression: &str, name: &str, values: Value| {
        json!({
            "TableName": "pullyard",
            "Key": { "pk": { "S": pk }, "sk": { "S": sk } },
            "UpdateExpression": expression,
            "ExpressionAttributeNames": { "#name": name },
            "ExpressionAttributeValues": values,
        })
    };
    let broken = json!({ ":broken": { "S": "broken" } });
    let of_project = edit(format!("PROJECT#{id}"), "SETTINGS", "SET #name = :broken", "settings", broken.clone());
    let of_job = edit(format!("JOB#{sick}"), "JOB", "SET #name = :broken", "status", broken);
    for edit in [of_project, of_job] {
        story.dynamodb("UpdateItem", edit).await;
    }
    story.clock.advance(Duration::from_secs(86_401));
    let report = story.api.sweep().await.unwrap();
    assert_eq!((report.failed, report.ended), (2, 1), "{report:?}");
    assert_eq!(story.ended(&well).await.failure.unwrap().code, "never_claimed");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_class_and_sweep_note_block_no_jobs_end() {
    let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
    let story = Story::with(Setup { task: Task::Waiting, settings, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.local.sweep().await.unwrap();
    // A class that is read before the job's, without fields.
    let class = json!({ "pk": { "S": "POOL#acme" }, "sk": { "S": "CLASS#" } });
    story.dynamodb("PutItem", json!({ "TableName": "pullyard", "Item": class })).await;
    story.breaks_the_note_of_the_last_round().await;
    story.clock.advance(Duration::from_secs(86_401));
    assert!(story.local.sweep().await.is_err(), "the unreadable note is reported");
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "never_claimed");
    story.clock.advance(Duration::from_secs(61));
    let report = story.api.sweep().await.unwrap();
    assert_eq!((report.failed, report.ended), (1, 0), "{report:?}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manual_sweep_reports_its_work_unless_its_note_fails() {
    let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, settings, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.local.sweep().await.unwrap();
    story.breaks_the_note_of_the_last_round().await;
    story.clock.advance(Duration::from_secs(86_401));
    let report = story.api.sweep().await.unwrap();
    assert_eq!((report.failed, report.ended), (1, 1), "{report:?}");
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "never_claimed");

    // A sweep without work writes only its note.
    let wire = Wire::default();
    wire.always("PutItem", Fault::error(400, "AccessDenied"));
    let sdk = config::embedded(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await.to_builder().http_client(wire).build();
    let unnoted = story.config("lost", "lost.fifo").await.context(&sdk, story.clock.clone());
    let path = "/v1/sweep";
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": { "authorization": format!("Bearer {}", story.local.admin_token()) },
        "requestContext": { "http": { "method": "POST", "path": path } }, "isBase64Encoded": false,
    });
    for (ctx, status) in [(story.instance("lost", "lost.fifo").await, 200), (unnoted, 500)] {
        let answer = invoke(&ctx, "api", event.clone()).await.unwrap();
        assert_eq!(answer["statusCode"], status, "{answer}");
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_note_with_an_invalid_time_is_rewritten() {
    let story = Story::waiting().await;
    story.local.sweep().await.unwrap();
    let says = async |at: Value| {
        let edit = json!({
            "TableName": "pullyard",
            "Key": { "pk": { "S": "SWEEPER" }, "sk": { "S": "SWEEPER" } },
            "UpdateExpression": "SET #at = :at, ready_at = :at",
            "ExpressionAttributeNames": { "#at": "at" },
            "ExpressionAttributeValues": { ":at": at },
        });
        story.dynamodb("UpdateItem", edit).await;
    };
    for (said, failed) in [(json!({ "S": "noon" }), 1), (json!({ "N": "4102444800000" }), 0)] {
        says(said.clone()).await;
        story.clock.advance(Duration::from_secs(61));
        let began = story.clock.now().millis();
        assert_eq!(story.api.sweep().await.unwrap().failed, failed, "{said}: an unreadable note is reported");
        let note = story.item("SWEEPER", "SWEEPER").await;
        let (at, looked) = (note["at"].as_i64().unwrap(), note["ready_at"].as_i64().unwrap());
        assert!(began <= at && at <= story.clock.now().millis() && looked == at, "{said}: {note}");
        assert_eq!(story.api.sweep().await.unwrap().failed, 0, "{said}");
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_gauges_are_marked_if_the_note_is_unreadable() {
    let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, settings, ..Setup::default() }).await;
    story.job_for("e1", "APP-1", 1).await;
    story.local.sweep().await.unwrap();
    story.breaks_the_note_of_the_last_round().await;
    let wire = Wire::default();
    let sdk = config::embedded(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await.to_builder();
    let sdk = sdk.http_client(wire.clone()).build();
    let ctx = story.config("lost", "lost.fifo").await.context(&sdk, story.clock.clone());
    // The next query reads a partition of the runners.
    wire.next("Query", Fault::error(400, "AccessDenied"));
    assert!(pullyard_function_sweeper::handle(&ctx).await.is_err());
    let gauges = story.item("SWEEPER", "SWEEPER").await["gauges"].take();
    assert_eq!((gauges["waiting"].as_u64(), gauges["more"].as_bool()), (Some(1), Some(true)), "{gauges}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_runner_counts_as_failed_and_marks_gauges_partial() {
    let story = Story::waiting().await;
    let runner = json!({ "pk": { "S": "RUNNERS#0" }, "sk": { "S": "broken" } });
    let counted = async || {
        story.clock.advance(Duration::from_secs(61));
        let failed = story.api.sweep().await.unwrap().failed;
        (failed, story.item("SWEEPER", "SWEEPER").await["gauges"]["more"].as_bool())
    };
    assert_eq!(counted().await, (0, Some(false)));
    story.dynamodb("PutItem", json!({ "TableName": "pullyard", "Item": runner })).await;
    assert_eq!(counted().await, (1, Some(true)));
    story.dynamodb("DeleteItem", json!({ "TableName": "pullyard", "Key": runner })).await;
    assert_eq!(counted().await, (0, Some(false)));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_token_of_a_dead_attempt_claims_nothing() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let first = story.task_of(&job, 1).await;
    story.claim(&job, "c1").await.unwrap();
    story.kill(&first).await;
    story.died(&job).await;
    story.pass(GRACE).await;
    let second = story.task_of(&job, 2).await;
    assert_eq!(told(&second, "PULLYARD_ATTEMPT"), "2");
    let late = story.claim_as(&first, &job, "c3").await.err().unwrap();
    assert_eq!(late.code(), Some("lease_lost"));
    assert_eq!(story.claim_as(&second, &job, "c2").await.unwrap().0.attempt, 2);
    story.end().await;
}
