//! Tests repairs by the sweeper: lost hints, overdue jobs and unreadable items.

mod deaths;
mod entries;
mod silence;

pub(crate) use deaths::Blocker;

use crate::prelude::*;
use pullyard_domain::run::due::SHARDS;
use pullyard_store::WorkKey;

const WAKE_UP_LOST_AFTER: Duration = Duration::from_secs(61);
const FINISH_GRACE: Duration = Duration::from_secs(16);

async fn sweep_until<T>(story: &Story, condition: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    wait_until(condition, async || {
        story.local.sweep().await.unwrap();
        look().await
    })
    .await
}

async fn assert_ticket_failed(story: &Story, key: &str) {
    let ticket = story.wait_for_settled_ticket(key).await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
}

async fn assert_done_once(story: &Story, job: &Job) {
    assert_eq!(job.status, JobStatus::Completed, "{:?}", job.failure);
    let branches = story.branches().await;
    assert_eq!(branches.len(), 1, "{branches:?}");
    assert_eq!(story.git(&["rev-list", "--count", &format!("main..{}", branches[0])]).await, "1");
    let pulls = story.pull_requests().await;
    assert_eq!(pulls.len(), 1, "{pulls:?}");
    let result = job.result.as_ref().unwrap();
    assert_eq!(pulls[0]["head"]["sha"], result.head);
    assert_eq!(pulls[0]["number"], result.number);
    let ticket = story.wait_for_settled_ticket(job.ticket.as_ref().unwrap().as_str()).await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (REVIEW, 0));
    assert_eq!(ticket.pull_request.as_ref(), Some(&result.url));
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_complete_a_job_whose_hints_are_all_lost() {
    let story = Story::start_with(Setup { hints: HintDelivery::Drop, ..Setup::default() }).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    // The sweeper acts only once the wake-up counts as lost.
    story.local.sweep().await.unwrap();
    story.wait_for_empty_queues().await;
    assert_eq!(story.list_tasks(&job).await.len(), 0);
    story.advance_and_sweep(WAKE_UP_LOST_AFTER).await;
    let ended = story.wait_for_end(&job).await;
    assert_eq!(ended.status, JobStatus::Completed, "{:?}", ended.failure);
    assert_done_once(&story, &ended).await;
    story.wait_for_empty_queues().await;
    let store = story.store().await;
    for shard in 0..SHARDS {
        let due = store.list_due(shard, 10).await.unwrap();
        assert!(due.iter().all(|(key, _)| matches!(key, WorkKey::Poll(..))), "only polls remain: {due:?}");
    }
}

async fn two_working_jobs() -> (Story, JobId, JobId) {
    let story = Story::start_with_waiting_tasks().await;
    story.local.sweep().await.unwrap();
    let (sick, well) = (story.create_job("e1", "APP-1", 1).await, story.create_job("e2", "APP-2", 1).await);
    for job in [&sick, &well] {
        let (_, client) = story.claim(job, "c1").await.unwrap();
        enter_phases(&client, Phase::Executing).await;
    }
    story.wait_for_empty_queues().await;
    (story, sick, well)
}

/// Exactly one sweep finds the attempts silent.
async fn pass_until_silent(story: &Story) {
    story.pass_in_steps(80).await;
    story.advance_and_sweep(Duration::from_secs(50)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_item_is_postponed_and_blocks_no_other() {
    let (story, sick, well) = two_working_jobs().await;
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
    story.call_dynamodb("UpdateItem", edit("REMOVE #status", Value::Null)).await;
    pass_until_silent(&story).await;
    assert_eq!(story.wait_for_end(&well).await.failure.unwrap().code, "attempt_silent");
    // The back-off is one minute, then two.
    for (secs, tries) in [(0, 1), (51, 1), (10, 2), (56, 2), (55, 2)] {
        story.advance_and_sweep(Duration::from_secs(secs)).await;
        assert_eq!(story.load_job_item(&sick).await["tries"], tries, "after another {secs} s");
    }
    story.clock.advance(Duration::from_secs(10));
    story.call_dynamodb("UpdateItem", edit("SET #status = :status", json!({ ":status": { "S": TRIGGER } }))).await;
    story.local.sweep().await.unwrap();
    assert_eq!(story.wait_for_end(&sick).await.failure.unwrap().code, "attempt_silent");
    assert_ticket_failed(&story, "APP-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_item_is_postponed_an_hour_and_blocks_no_other() {
    let (story, sick, well) = two_working_jobs().await;
    // Make the job unreadable, and place it before the other one in the index.
    let key = json!({ "pk": { "S": format!("JOB#{sick}") }, "sk": { "S": "JOB" } });
    let item = story.call_dynamodb("GetItem", json!({ "TableName": "pullyard", "Key": key })).await["Item"].take();
    let row = story.load_job_item(&well).await;
    let broken = json!({
        "TableName": "pullyard",
        "Key": key,
        "UpdateExpression": "SET wk = :wk, ws = :ws REMOVE #status",
        "ExpressionAttributeNames": { "#status": "status" },
        "ExpressionAttributeValues": { ":wk": { "S": row["wk"] }, ":ws": { "N": "1" } },
    });
    story.call_dynamodb("UpdateItem", broken).await;
    pass_until_silent(&story).await;
    assert_eq!(story.wait_for_end(&well).await.failure.unwrap().code, "attempt_silent");
    // An unreadable item cannot store tries, so it is postponed by the longest back-off.
    let mut due = story.load_job_item(&sick).await["ws"].clone();
    for (secs, postponed) in [(0, false), (60, false), (2_900, false), (700, true), (60, false)] {
        story.advance_and_sweep(Duration::from_secs(secs)).await;
        let next = story.load_job_item(&sick).await["ws"].clone();
        assert_eq!(next != due, postponed, "after another {secs} s");
        due = next;
    }
    story.call_dynamodb("PutItem", json!({ "TableName": "pullyard", "Item": item })).await;
    // The sweeper paused for long, so the attempt gets its full time again.
    story.pass_in_steps(100).await;
    assert_eq!(story.wait_for_end(&sick).await.failure.unwrap().code, "attempt_silent");
    assert_ticket_failed(&story, "APP-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_token_of_a_dead_attempt_claims_nothing() {
    let (story, job) = Story::with_job().await;
    let first = story.wait_for_task(&job, 1).await;
    story.claim(&job, "c1").await.unwrap();
    story.kill_task(&first).await;
    story.wait_for_noted_death(&job).await;
    story.advance_and_sweep(FINISH_GRACE).await;
    let second = story.wait_for_task(&job, 2).await;
    assert_eq!(task_variable(&second, "PULLYARD_ATTEMPT"), "2");
    let late = story.claim_with_task(&first, &job, "c3").await.err().unwrap();
    assert_eq!(late.code(), Some("lease_lost"));
    assert_eq!(story.claim_with_task(&second, &job, "c2").await.unwrap().0.attempt, 2);
}
