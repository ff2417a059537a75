//! Closing and reopening pull requests by the API. The forms of the page have tests of their own.

use serde_json::json;

use crate::world::{BOT, World};

#[tokio::test]
async fn closed_pull_request_reopens_unless_it_was_merged() {
    let world = World::new().await;
    assert_eq!(world.patch(BOT, "pulls/1", json!({ "state": "closed" })).await.body["state"], json!("closed"));
    let open = world.patch(BOT, "pulls/1", json!({ "state": "open" })).await;
    assert_eq!((open.status, &open.body["closed_at"], &open.body["merged"]), (200, &json!(null), &json!(false)));
    let sha = world.forge.merge(crate::world::REPOSITORY, 1, BOT).await.unwrap();
    let merged = world.get(BOT, "pulls/1").await.body;
    assert_eq!((&merged["state"], &merged["merge_commit_sha"]), (&json!("closed"), &json!(sha)));
    assert_eq!(world.get(BOT, "branches").await.body[1]["commit"]["sha"], json!(sha));
    let again = world.patch(BOT, "pulls/1", json!({ "state": "open" })).await;
    assert_eq!(again.status, 422);
    assert!(again.errors().contains("has been merged"), "{}", again.errors());
}
