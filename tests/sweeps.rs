//! What heals by itself: lost hints, overdue jobs and poisoned items; in `deaths` dead containers, in `entries`
//! moves at a bad time.

mod deaths;
mod entries;

use crate::functions::invoke;
use crate::story::{REVIEW, Setup, Story, TODO, TRIGGER, Task, begin_all, failed, is, told, until};
use futures::future::join_all;
use pullyard_domain::id::ProjectId;
use pullyard_domain::job::Status;
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

/// Longer than a wake-up may be on its way.
const WAKE: Duration = Duration::from_secs(61);
/// Longer than a finish may be on its way after a death.
const GRACE: Duration = Duration::from_secs(16);

fn settings(limits: Limits, offline: OfflinePolicy) -> Settings {
    Settings { limits, offline, ..Setup::default().settings }
}

/// Goes round until it is so: where hints are lost, every step waits for a sweep.
async fn swept<T>(story: &Story, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    until(what, async || {
        story.local.sweep().await.unwrap();
        look().await
    })
    .await
}

/// What a ticket shows after a job that failed.
async fn assert_failed(story: &Story, key: &str) {
    let ticket = story.settled(key).await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
}

/// One branch with one commit of the job, one pull request of it, and the ticket in review.
async fn assert_done_once(story: &Story, job: &Job) {
    assert_eq!(job.status, Status::Completed, "{:?}", job.failure);
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
async fn a_story_whose_every_hint_is_lost_is_completed_by_sweeps() {
    let story = Story::with(Setup { hints: Hints::AreLost, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    // Not before a wake-up may count as lost.
    story.local.sweep().await.unwrap();
    story.quiet().await;
    assert_eq!(story.tasks_of(&job).await.len(), 0);
    story.pass(WAKE).await;
    let ended = story.ended(&job).await;
    assert_eq!(ended.status, Status::Completed, "{:?}", ended.failure);
    // The end of its job has written the ticket back.
    assert_done_once(&story, &ended).await;
    // Nothing is left to do.
    story.quiet().await;
    story.clock.advance(Duration::from_secs(86_400));
    let swept = story.api.sweep().await.unwrap();
    assert_eq!(swept.looked_at, swept.looks, "but the repository, which is polled for ever: {swept:?}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_and_a_death_are_healed_by_sweeps_alone() {
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
    story.job_until(&job, is(Status::Ready)).await;
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
async fn many_sweeps_at_once_do_what_one_does() {
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
async fn an_item_that_can_not_be_swept_is_put_off_and_keeps_no_other_waiting() {
    let story = Story::waiting().await;
    let (sick, well) = (story.job_for("e1", "APP-1", 1).await, story.job_for("e2", "APP-2", 1).await);
    for job in [&sick, &well] {
        let (_, client) = story.claim(job, "c1").await.unwrap();
        begin_all(&client, Phase::Executing).await;
    }
    story.quiet().await;
    // The ticket can't be read any more, so its job can't be ended.
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
    // Left alone for a minute, then for two.
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
async fn an_item_that_can_not_be_read_is_moved_back_for_an_hour_and_keeps_no_other_waiting() {
    let story = Story::waiting().await;
    let (sick, well) = (story.job_for("e1", "APP-1", 1).await, story.job_for("e2", "APP-2", 1).await);
    for job in [&sick, &well] {
        let (_, client) = story.claim(job, "c1").await.unwrap();
        begin_all(&client, Phase::Executing).await;
    }
    story.quiet().await;
    // No version can read it, and in the index it stands right before the other one.
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
    // Tries can't be counted on it: it is left alone for as long as anything is.
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
async fn a_ticket_that_can_not_be_settled_is_put_off_and_keeps_no_other_waiting() {
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
            // Its project is gone from under it.
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
            // Not before its time.
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
async fn a_project_and_a_waiting_job_that_can_not_be_read_keep_no_other_waiting_job_from_its_end() {
    let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
    let story = Story::with(Setup { task: Task::Waiting, settings, ..Setup::default() }).await;
    let (sick, well) = (story.job_for("e1", "APP-1", 1).await, story.job_for("e2", "APP-2", 2).await);
    // Its name comes before that of theirs.
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
async fn a_class_and_a_note_of_the_last_round_that_can_not_be_read_keep_no_waiting_job_from_its_end() {
    let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
    let story = Story::with(Setup { task: Task::Waiting, settings, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.local.sweep().await.unwrap();
    // Before that of the job, and as another version may write them.
    let class = json!({ "pk": { "S": "POOL#acme" }, "sk": { "S": "CLASS#" } });
    story.dynamodb("PutItem", json!({ "TableName": "pullyard", "Item": class })).await;
    story.breaks_the_note_of_the_last_round().await;
    story.clock.advance(Duration::from_secs(86_401));
    assert!(story.local.sweep().await.is_err(), "that the note can't be read is no secret");
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "never_claimed");
    // The note is written anew; the class is told of in every round that looks.
    story.clock.advance(Duration::from_secs(61));
    let report = story.api.sweep().await.unwrap();
    assert_eq!((report.failed, report.ended), (1, 0), "{report:?}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_by_hand_tells_what_it_did_though_a_part_of_it_failed_unless_it_could_not_even_be_noted() {
    let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, settings, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.local.sweep().await.unwrap();
    story.breaks_the_note_of_the_last_round().await;
    story.clock.advance(Duration::from_secs(86_401));
    let report = story.api.sweep().await.unwrap();
    assert_eq!((report.failed, report.ended), (1, 1), "{report:?}");
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "never_claimed");

    // The only item that a quiet round puts is its note.
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
async fn a_note_whose_time_is_none_or_lies_years_ahead_is_written_anew_by_the_next_round() {
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
        assert_eq!(story.api.sweep().await.unwrap().failed, failed, "{said}: that it can't be read is no secret");
        let note = story.item("SWEEPER", "SWEEPER").await;
        let (at, looked) = (note["at"].as_i64().unwrap(), note["ready_at"].as_i64().unwrap());
        assert!(began <= at && at <= story.clock.now().millis() && looked == at, "{said}: {note}");
        assert_eq!(story.api.sweep().await.unwrap().failed, 0, "{said}");
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_counted_is_told_as_a_part_where_nobody_can_read_the_numbers_of_before() {
    let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, settings, ..Setup::default() }).await;
    story.job_for("e1", "APP-1", 1).await;
    story.local.sweep().await.unwrap();
    story.breaks_the_note_of_the_last_round().await;
    let wire = Wire::default();
    let sdk = config::embedded(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await.to_builder();
    let sdk = sdk.http_client(wire.clone()).build();
    let ctx = story.config("lost", "lost.fifo").await.context(&sdk, story.clock.clone());
    // A partition of the runners.
    wire.next("Query", Fault::error(400, "AccessDenied"));
    assert!(pullyard_function_sweeper::handle(&ctx).await.is_err());
    let gauges = story.item("SWEEPER", "SWEEPER").await["gauges"].take();
    assert_eq!((gauges["waiting"].as_u64(), gauges["more"].as_bool()), (Some(1), Some(true)), "{gauges}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_can_not_be_read_is_told_of_and_more_than_was_counted() {
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
async fn a_bootstrap_token_of_an_attempt_that_died_claims_nothing_more() {
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
