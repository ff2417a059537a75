//! Tests moves at a bad time: a second entry during a job, and late write-backs.

use super::deaths::Holds;
use super::{WAKE, assert_done_once, assert_failed, swept};
use crate::story::{REVIEW, Setup, Story, TODO, TRIGGER, Task, WORKING_AGENT, begin_all, failed};
use pullyard_domain::job::JobStatus;
use pullyard_local::Hints;
use pullyard_protocol::attempt::Phase;
use reqwest::Method;
use serde_json::json;

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
async fn late_write_back_does_not_overwrite_the_next_job() {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.pass(WAKE).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    begin_all(&client, Phase::Executing).await;
    client.finish(&failed("f1")).await.unwrap();
    // The state without a write-back, as if the settings were unreadable at the job's end.
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
