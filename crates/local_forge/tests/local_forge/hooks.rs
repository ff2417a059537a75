//! Webhooks: signed deliveries and their list.

use serde_json::{Value, json};

use crate::listener::{Listener, ReceivedDelivery};
use crate::world::{ANN, BOT, REPOSITORY, RON, Response, World};

const SECRET: &str = "hush";

async fn hook(world: &World, path: &str, url: &str, events: &[&str]) -> Response {
    let config = json!({ "url": url, "content_type": "json", "secret": SECRET });
    let answer = world.post(BOT, path, json!({ "config": config, "events": events })).await;
    assert_eq!(answer.status, 201, "{}", answer.errors());
    world.forge.wait_for_deliveries().await;
    answer
}

fn is_signed(delivery: &ReceivedDelivery) -> bool {
    delivery.is_signed_with(SECRET)
}

async fn with_hook(events: &[&str]) -> (World, Listener, String) {
    let (world, listener) = (World::new().await, Listener::start().await);
    let hook = hook(&world, "hooks", &listener.url, events).await;
    assert_eq!(listener.take_received().len(), 1, "the ping");
    let path = format!("hooks/{}", hook.body["id"]);
    (world, listener, path)
}

async fn received_events(world: &World, listener: &Listener) -> Vec<String> {
    world.forge.wait_for_deliveries().await;
    listener.take_received().iter().map(ReceivedDelivery::event).collect()
}

#[tokio::test]
async fn new_hook_gets_a_signed_ping_and_hides_its_secret() {
    let (world, listener) = (World::new().await, Listener::start().await);
    let response = hook(&world, "hooks", &listener.url, &["pull_request_review"]).await;
    assert_eq!(response.body["config"]["secret"], json!("********"));
    let deliveries = listener.take_received();
    assert_eq!((deliveries.len(), deliveries[0].event(), is_signed(&deliveries[0])), (1, "ping -".to_owned(), true));
    assert_eq!(deliveries[0].body["hook_id"], response.body["id"]);
    assert_eq!(deliveries[0].header("x-github-hook-id"), response.body["id"].to_string());
    assert_eq!(world.get(ANN, "hooks").await.status, 404, "only for administrators");
    let twin = json!({ "config": { "url": listener.url }, "events": ["pull_request_review"] });
    assert_eq!(world.post(BOT, "hooks", twin).await.status, 422);
    for bad in [json!({}), json!({ "config": { "url": "ftp://x" } })] {
        assert_eq!(world.post(BOT, "hooks", bad).await.status, 422);
    }
}

#[tokio::test]
async fn review_and_its_comments_are_delivered() {
    let (world, listener, _) = with_hook(&["pull_request_review", "pull_request_review_comment"]).await;
    let id = world.request_changes(RON, "").await;
    world.forge.wait_for_deliveries().await;
    let deliveries = listener.take_received();
    let events: Vec<_> = deliveries.iter().map(ReceivedDelivery::event).collect();
    assert_eq!(events, ["pull_request_review submitted", "pull_request_review_comment created"]);
    assert!(deliveries.iter().all(is_signed));
    let review = &deliveries[0].body["review"];
    assert_eq!(
        (&review["id"], &review["state"], &review["body"]),
        (&json!(id), &json!("changes_requested"), &Value::Null)
    );
    assert!(deliveries[0].body["pull_request"].get("merged").is_none(), "the short form");
    assert_eq!(deliveries[0].body["organization"]["login"], json!("acme"));
}

#[tokio::test]
async fn pull_request_events_are_delivered() {
    let (world, listener, _) = with_hook(&["*"]).await;
    world.push(&[(10, "again")]).await;
    assert_eq!(received_events(&world, &listener).await, ["pull_request synchronize"]);
    world.patch(BOT, "pulls/1", json!({ "title": "Other", "state": "closed" })).await;
    assert_eq!(received_events(&world, &listener).await, ["pull_request closed", "pull_request edited"]);
    world.patch(BOT, "pulls/1", json!({ "state": "open" })).await;
    world.post(RON, "issues/1/comments", json!({ "body": "Hi" })).await;
    assert_eq!(received_events(&world, &listener).await, ["issue_comment created", "pull_request reopened"]);
    world.forge.merge(REPOSITORY, 1, ANN).await.unwrap();
    world.forge.wait_for_deliveries().await;
    let deliveries = listener.take_received();
    assert_eq!(
        (deliveries.len(), deliveries[0].event(), &deliveries[0].body["pull_request"]["merged"]),
        (1, "pull_request closed".into(), &json!(true))
    );
}

#[tokio::test]
async fn newest_deliveries_are_listed() {
    let (world, listener, hook) = with_hook(&["issue_comment"]).await;
    listener.answer(503);
    world.post(RON, "issues/1/comments", json!({ "body": "Hi" })).await;
    world.forge.wait_for_deliveries().await;
    assert_eq!(listener.take_received().len(), 1, "it is sent once");
    let all = world.get(BOT, &format!("{hook}/deliveries")).await.body;
    let entries: Vec<_> = all.as_array().unwrap().iter().map(|call| (&call["event"], &call["status_code"])).collect();
    assert_eq!(entries, [(&json!("issue_comment"), &json!(503)), (&json!("ping"), &json!(200))]);
}

#[tokio::test]
async fn hooks_are_delivered_to_loopback_only() {
    let world = World::new().await;
    let response = hook(&world, "hooks", "http://192.0.2.1/hook", &["push"]).await;
    let deliveries = world.get(BOT, &format!("hooks/{}/deliveries", response.body["id"])).await.body;
    assert_eq!(
        (&deliveries[0]["status"], &deliveries[0]["status_code"]),
        (&json!("failed to connect to host"), &json!(0))
    );
}

#[tokio::test]
async fn hook_is_edited_deactivated_and_deleted() {
    let (world, listener, hook) = with_hook(&["issue_comment"]).await;
    let changed =
        world.patch(BOT, &hook, json!({ "active": false, "events": ["issue_comment", "pull_request"] })).await;
    assert_eq!((changed.status, &changed.body["active"]), (200, &json!(false)));
    assert_eq!(changed.body["events"], json!(["issue_comment", "pull_request"]));
    assert_eq!(changed.body["config"]["secret"], json!("********"), "the secret stays");
    world.post(RON, "issues/1/comments", json!({ "body": "Hi" })).await;
    assert!(received_events(&world, &listener).await.is_empty());
    assert_eq!(world.delete(BOT, &hook).await.status, 204);
    assert_eq!(world.get(BOT, "hooks").await.body, json!([]));
}
