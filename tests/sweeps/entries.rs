//! Tests moves at a bad time: a second entry during a job, and late write-backs.

use super::deaths::Holds;
use super::{WAKE, assert_done_once, assert_failed, swept};
use crate::story::{REVIEW, Setup, Story, TODO, TRIGGER, Task, WORKING_AGENT, begin_all, failed, until};
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_local::Hints;
use pullyard_protocol::attempt::Phase;
use pullyard_protocol::client::AttemptClient;
use reqwest::Method;
use serde_json::json;

/// A running job whose ticket left the trigger status and entered it again.
async fn reentered() -> (Story, JobId, AttemptClient) {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    begin_all(&client, Phase::Executing).await;
    assert_eq!(story.tell("e2", "APP-1", TODO, 2).await.code, "not_trigger_status");
    assert_eq!(story.tell("e3", "APP-1", TRIGGER, 3).await.code, "job_active");
    (story, job, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn second_entry_during_a_failing_job_gets_its_own_job() {
    let (story, first, client) = reentered().await;
    client.finish(&failed("f1")).await.unwrap();
    let ticket = until("the next job is made", async || {
        let ticket = story.ticket("APP-1").await;
        let made = ticket.active_job.as_ref().is_some_and(|job| *job != first) && ticket.synced;
        if made { Ok(ticket) } else { Err(format!("{ticket:?}")) }
    })
    .await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (TRIGGER, 0));
    assert_eq!(story.jobs().await.len(), 2);
    let second = ticket.active_job.unwrap();
    // A repeated event returns the job of its entry.
    assert_eq!(story.tell("e3", "APP-1", TRIGGER, 3).await.job, Some(second.clone()));
    story.quiet().await;
    story.pass(WAKE).await;
    assert_eq!(story.jobs().await.len(), 2);
    let (_, client) = story.claim(&second, "c2").await.unwrap();
    client.finish(&failed("f2")).await.unwrap();
    assert_failed(&story, "APP-1").await;
    assert_eq!(story.jobs().await.len(), 2);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_entry_during_a_completing_job_starts_none() {
    let holds = Holds::new();
    holds.hold("agent");
    let story = holds.story(Setup::default().settings).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    holds.reached("agent").await;
    story.tell("e2", "APP-1", TODO, 2).await;
    assert_eq!(story.tell("e3", "APP-1", TRIGGER, 3).await.code, "job_active");
    holds.let_go("agent");
    let ended = story.ended(&job).await;
    assert_done_once(&story, &ended).await;
    story.quiet().await;
    story.pass(WAKE).await;
    assert_eq!(story.jobs().await.len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_entry_refused_by_a_guard_leaves_the_failure_shown() {
    let (story, _, client) = reentered().await;
    story.settings(|settings| settings.auto_create = false).await;
    client.finish(&failed("f1")).await.unwrap();
    let ticket = story.settled("APP-1").await;
    assert_eq!(story.jobs().await.len(), 1);
    assert_eq!((ticket.status.as_str(), ticket.badges), (TODO, vec!["AI Failed".to_owned()]));
    let ledger = story.api.deliveries(&story.project, None, None).await.unwrap().deliveries;
    let entry = ledger.iter().find(|entry| entry.event.as_str() == "e3").unwrap();
    assert_eq!((entry.code.as_str(), entry.repeats), ("auto_create_off", 0));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_second_entry_leaves_the_failure_shown() {
    let (story, _, client) = reentered().await;
    story.tell("e4", "APP-1", "Blocked", 4).await;
    client.finish(&failed("f1")).await.unwrap();
    let ticket = story.settled("APP-1").await;
    story.quiet().await;
    assert_eq!(story.jobs().await.len(), 1);
    assert_eq!(ticket.status, "Blocked");
    assert_eq!(ticket.badges, ["AI Failed"]);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_entry_is_found_by_the_sweeper_without_a_hint() {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.pass(WAKE).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    story.tell("e2", "APP-1", TODO, 2).await;
    assert_eq!(story.tell("e3", "APP-1", TRIGGER, 3).await.code, "job_active");
    client.finish(&failed("f1")).await.unwrap();
    story.local.sweep().await.unwrap();
    until("the next job is made", async || {
        let jobs = story.jobs().await;
        if jobs.len() == 2 { Ok(()) } else { Err(format!("{jobs:?}")) }
    })
    .await;
    let ticket = story.ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (TRIGGER, 0));
    story.end().await;
}

/// A failed job without a write-back, as if the settings were unreadable at its end.
async fn unsettled() -> Story {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.pass(WAKE).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    begin_all(&client, Phase::Executing).await;
    client.finish(&failed("f1")).await.unwrap();
    let pk = "TICKET#acme#APP-1";
    let row = format!("DUE#{}", pullyard_domain::due::shard(pk));
    let left = json!({
        "TableName": "pullyard",
        "Key": { "pk": { "S": pk }, "sk": { "S": "TICKET" } },
        "UpdateExpression": "SET #status = :status, synced_version = :none, wk = :row, ws = :none REMOVE #written",
        "ExpressionAttributeNames": { "#status": "status", "#written": "written" },
        "ExpressionAttributeValues": { ":status": { "S": TRIGGER }, ":none": { "N": "0" }, ":row": { "S": row } },
    });
    story.dynamodb("UpdateItem", left).await;
    let ticket = story.ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.synced), (TRIGGER, false));
    story
}

#[tokio::test(flavor = "multi_thread")]
async fn late_write_back_keeps_a_users_move() {
    let story = unsettled().await;
    story.tell("e2", "APP-1", "Blocked", 2).await;
    story.local.sweep().await.unwrap();
    let ticket = story.settled("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), ("Blocked", &["AI Failed".to_owned()][..]));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_write_back_does_not_overwrite_the_next_job() {
    let story = unsettled().await;
    story.tell("e2", "APP-1", TODO, 2).await;
    let next = story.job_for("e3", "APP-1", 3).await;
    story.pass(WAKE).await;
    story.quiet().await;
    let ticket = swept(&story, "it is written back", async || {
        let ticket = story.ticket("APP-1").await;
        if ticket.synced { Ok(ticket) } else { Err(format!("{ticket:?}")) }
    })
    .await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (TRIGGER, 0));
    assert_eq!(ticket.active_job, Some(next.clone()));
    let (_, client) = story.claim(&next, "c2").await.unwrap();
    client.finish(&failed("f2")).await.unwrap();
    story.local.sweep().await.unwrap();
    assert_failed(&story, "APP-1").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reentered_ticket_reuses_only_an_open_pull_request() {
    let story = Story::with(Setup { agent: WORKING_AGENT, ..Setup::default() }).await;
    let work = async |event: &str, minute| {
        let job = story.job_for(event, "APP-1", minute).await;
        let ended = story.ended(&job).await;
        assert_eq!(ended.status, JobStatus::Completed, "{:?}", ended.failure);
        assert_eq!(story.settled("APP-1").await.status, REVIEW);
        ended.result.unwrap()
    };
    let first = work("e1", 1).await;
    let second = work("e2", 2).await;
    assert_eq!((second.number, &second.branch), (first.number, &first.branch));
    assert_ne!(second.head, first.head);
    assert_eq!(story.branches().await, std::slice::from_ref(&first.branch));
    assert_eq!(story.git(&["rev-list", "--count", &format!("main..{}", first.branch)]).await, "2");
    assert_eq!(story.git(&["rev-parse", &format!("{}^", second.head)]).await, first.head);
    assert_eq!(story.pulls().await.len(), 1);

    story.forge(Method::PATCH, &format!("/pulls/{}", first.number), json!({ "state": "closed" })).await;
    let third = work("e3", 3).await;
    assert_ne!(third.number, first.number);
    assert_ne!(third.branch, first.branch);
    assert_eq!(story.git(&["rev-parse", &first.branch]).await, second.head);
    assert_eq!(story.git(&["rev-list", "--count", &format!("main..{}", third.branch)]).await, "1");
    assert_eq!((story.branches().await.len(), story.pulls().await.len()), (2, 2));
    assert_eq!(story.settled("APP-1").await.pull_request, Some(third.url));
    story.end().await;
}
