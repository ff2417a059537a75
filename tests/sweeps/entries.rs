//! Tests moves at a bad time: a second entry during a job, and late write-backs.

use super::deaths::Blocker;
use super::{WAKE_UP_LOST_AFTER, assert_done_once, assert_ticket_failed, sweep_until};
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn second_entry_during_a_completing_job_starts_none() {
    let holds = Blocker::new();
    holds.block("agent");
    let story = holds.story().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    holds.wait_until_blocked("agent").await;
    story.send_ticket_event("e2", "APP-1", TODO, 2).await;
    assert_eq!(story.send_ticket_event("e3", "APP-1", TRIGGER, 3).await.code, "job_active");
    holds.unblock("agent");
    let ended = story.wait_for_end(&job).await;
    assert_done_once(&story, &ended).await;
    story.wait_for_empty_queues().await;
    story.advance_and_sweep(WAKE_UP_LOST_AFTER).await;
    assert_eq!(story.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_write_back_does_not_overwrite_the_next_job() {
    let story = Story::start_with(Setup { task: Task::Waiting, hints: HintDelivery::Drop, ..Setup::default() }).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    story.advance_and_sweep(WAKE_UP_LOST_AFTER).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    enter_phases(&client, Phase::Executing).await;
    client.finish(&failed_finish("f1")).await.unwrap();
    // The state without a write-back, as if the settings were unreadable at the job's end.
    let pk = "TICKET#acme#APP-1";
    let row = format!("DUE#{}", pullyard_domain::run::due::shard(pk));
    let update = json!({
        "TableName": "pullyard",
        "Key": { "pk": { "S": pk }, "sk": { "S": "TICKET" } },
        "UpdateExpression": "SET #status = :status, synced_version = :none, wk = :row, ws = :none REMOVE #written",
        "ExpressionAttributeNames": { "#status": "status", "#written": "written" },
        "ExpressionAttributeValues": { ":status": { "S": TRIGGER }, ":none": { "N": "0" }, ":row": { "S": row } },
    });
    story.call_dynamodb("UpdateItem", update).await;
    let ticket = story.ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.synced), (TRIGGER, false));
    story.send_ticket_event("e2", "APP-1", TODO, 2).await;
    let next = story.create_job("e3", "APP-1", 3).await;
    story.advance_and_sweep(WAKE_UP_LOST_AFTER).await;
    story.wait_for_empty_queues().await;
    let ticket = sweep_until(&story, "it is written back", async || {
        let ticket = story.ticket("APP-1").await;
        if ticket.synced { Ok(ticket) } else { Err(format!("{ticket:?}")) }
    })
    .await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (TRIGGER, 0));
    assert_eq!(ticket.active_job, Some(next.clone()));
    let (_, client) = story.claim(&next, "c2").await.unwrap();
    client.finish(&failed_finish("f2")).await.unwrap();
    story.local.sweep().await.unwrap();
    assert_ticket_failed(&story, "APP-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reentered_ticket_reuses_only_an_open_pull_request() {
    let story = Story::start_with(Setup { agent: WORKING_AGENT, ..Setup::default() }).await;
    let work = async |event: &str, minute| {
        let job = story.create_job(event, "APP-1", minute).await;
        let ended = story.wait_for_end(&job).await;
        assert_eq!(ended.status, JobStatus::Completed, "{:?}", ended.failure);
        assert_eq!(story.wait_for_settled_ticket("APP-1").await.status, REVIEW);
        ended.result.unwrap()
    };
    let first = work("e1", 1).await;
    let second = work("e2", 2).await;
    assert_eq!((second.number, &second.branch), (first.number, &first.branch));
    assert_ne!(second.head, first.head);
    assert_eq!(story.branches().await, std::slice::from_ref(&first.branch));
    assert_eq!(story.git(&["rev-list", "--count", &format!("main..{}", first.branch)]).await, "2");
    assert_eq!(story.git(&["rev-parse", &format!("{}^", second.head)]).await, first.head);
    assert_eq!(story.pull_requests().await.len(), 1);

    story.call_forge(Method::PATCH, &format!("/pulls/{}", first.number), json!({ "state": "closed" })).await;
    let third = work("e3", 3).await;
    assert_ne!(third.number, first.number);
    assert_ne!(third.branch, first.branch);
    assert_eq!(story.git(&["rev-parse", &first.branch]).await, second.head);
    assert_eq!(story.git(&["rev-list", "--count", &format!("main..{}", third.branch)]).await, "1");
    assert_eq!((story.branches().await.len(), story.pull_requests().await.len()), (2, 2));
    assert_eq!(story.wait_for_settled_ticket("APP-1").await.pull_request, Some(third.url));
}
