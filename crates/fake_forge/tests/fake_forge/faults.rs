//! Ordered faults: refused calls, closed connections, lost deliveries.

use pullyard_fake_forge::{Calls, DeliveryFault, Fault, TestForge as _};
use serde_json::json;

use crate::{
    listener::Listener,
    world::{BOT, RON, World},
};

fn comments() -> Calls {
    Calls { method: Some("POST".to_owned()), path: "/issues/1/comments".to_owned() }
}

#[tokio::test]
async fn each_ordered_status_is_returned_once_without_effect() {
    let world = World::new().await;
    world.forge.order_fault(comments(), 1, Fault::too_many(30));
    world.forge.order_fault(comments(), 1, Fault::used_up(4_102_444_800));
    world.forge.order_fault(comments(), 1, Fault::status(500));
    let note = json!({ "body": "Hello" });
    let (first, second) = (
        world.post(RON, "issues/1/comments", note.clone()).await,
        world.post(RON, "issues/1/comments", note.clone()).await,
    );
    assert_eq!((first.status, first.headers["retry-after"].to_str().unwrap()), (429, "30"));
    assert_eq!((second.status, second.headers["x-ratelimit-remaining"].to_str().unwrap()), (403, "0"));
    assert_eq!(world.post(RON, "issues/1/comments", note.clone()).await.status, 500);
    assert_eq!(world.get(RON, "issues/1/comments").await.body, json!([]));
    assert_eq!(world.post(RON, "issues/1/comments", note).await.status, 201);
}

#[tokio::test]
async fn connection_closes_before_or_after_the_effect() {
    let world = World::new().await;
    for (fault, kept) in [(Fault::HangUpBefore, 0), (Fault::HangUpAfter, 1)] {
        world.forge.order_fault(comments(), 1, fault.clone());
        let url = format!("{}/repos/acme/app/issues/1/comments", world.forge.api_url());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let lost = client.post(url).bearer_auth("token-of-ron").body("{\"body\":\"x\"}").send().await;
        assert!(lost.is_err(), "{fault:?}");
        let notes = world.get(RON, "issues/1/comments").await.body;
        assert_eq!(notes.as_array().unwrap().len(), kept, "{fault:?}");
    }
}

#[tokio::test]
async fn ordered_delivery_faults_lose_deliveries() {
    let (world, listener) = (World::new().await, Listener::start().await);
    let config = json!({ "url": listener.url, "content_type": "json" });
    let made = world.post(BOT, "hooks", json!({ "config": config, "events": ["issue_comment"] })).await;
    let hook = format!("hooks/{}", made.body["id"]);
    world.forge.deliveries_settled().await;
    assert_eq!(listener.heard().len(), 1, "the ping");
    for fault in [DeliveryFault::NotSent, DeliveryFault::Forgotten, DeliveryFault::AnswerLost] {
        world.forge.order_delivery_fault(1, fault);
        world.post(RON, "issues/1/comments", json!({ "body": "Hi" })).await;
        world.forge.deliveries_settled().await;
    }
    assert_eq!(listener.heard().len(), 1, "the delivery with the lost response");
    let kept = world.get(BOT, &format!("{hook}/deliveries")).await.body;
    let statuses: Vec<_> = kept.as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["timed out", "failed to connect to host", "OK"]);
}
