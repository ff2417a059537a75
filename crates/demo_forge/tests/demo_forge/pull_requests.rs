//! Closing, reopening and merging pull requests, deleted branches, and renamed repositories.

use serde_json::{Value, json};

use crate::world::{ANN, BOT, EVE, REPOSITORY, RON, World};

async fn state(world: &World) -> (Value, Value) {
    let body = world.get(BOT, "pulls/1").await.body;
    (body["state"].clone(), body["merged"].clone())
}

#[tokio::test]
async fn closed_pull_request_reopens_unless_its_branch_is_deleted() {
    let world = World::new().await;
    assert_eq!(world.patch(BOT, "pulls/1", json!({ "state": "closed" })).await.body["state"], json!("closed"));
    let open = world.patch(BOT, "pulls/1", json!({ "state": "open" })).await;
    assert_eq!((open.status, &open.body["closed_at"]), (200, &Value::Null));
    assert_eq!(world.delete(ANN, "git/refs/heads/job").await.status, 204);
    assert_eq!(state(&world).await, (json!("closed"), json!(false)));
    let again = world.patch(BOT, "pulls/1", json!({ "state": "open" })).await;
    assert_eq!(again.status, 422);
    assert!(again.errors().contains("The job branch has been deleted."), "{}", again.errors());
}

#[tokio::test]
async fn merge_checks_the_head_and_happens_once() {
    for method in ["merge", "squash"] {
        let world = World::new().await;
        let shown = world.get(BOT, "pulls/1").await.body;
        assert_eq!((&shown["mergeable"], &shown["changed_files"]), (&json!(true), &json!(1)));
        let stale = json!({ "merge_method": method, "sha": "0".repeat(40) });
        assert_eq!(world.put(ANN, "pulls/1/merge", stale).await.status, 409);
        assert_eq!(world.put(RON, "pulls/1/merge", json!({})).await.status, 403);
        let wish = json!({ "merge_method": method, "sha": shown["head"]["sha"] });
        let merged = world.put(ANN, "pulls/1/merge", wish.clone()).await;
        assert_eq!((merged.status, &merged.body["merged"]), (200, &json!(true)));
        assert_eq!(state(&world).await, (json!("closed"), json!(true)));
        assert_eq!(world.put(ANN, "pulls/1/merge", wish).await.status, 405);
        let branch = world.get(BOT, "branches/main").await.body;
        assert_eq!(branch["commit"]["sha"], merged.body["sha"]);
        let parents = if method == "merge" { 2 } else { 1 };
        assert_eq!(branch["commit"]["parents"].as_array().unwrap().len(), parents);
        let reopened = world.patch(BOT, "pulls/1", json!({ "state": "open" })).await;
        assert!(reopened.errors().contains("has been merged"), "{}", reopened.errors());
    }
}

#[tokio::test]
async fn conflicting_pull_request_is_not_merged() {
    let world = World::new().await;
    let other = crate::world::lines(&[(10, "otherwise")]);
    world.forge.commit(REPOSITORY, "main", ANN, &[("change.txt", &other, false)]).await.unwrap();
    assert_eq!(world.get(BOT, "pulls/1").await.body["mergeable"], json!(false));
    assert_eq!(world.put(ANN, "pulls/1/merge", json!({})).await.status, 405);
}

#[tokio::test]
async fn old_repository_name_redirects_in_rest_and_git() {
    let world = World::new().await;
    let id = world.forge.repository(REPOSITORY).await.unwrap().id;
    assert_eq!(world.patch(ANN, "", json!({ "name": "x" })).await.status, 404, "no such route");
    assert_eq!(world.patch(ANN, "/repos/acme/app", json!({ "name": "next" })).await.status, 403);
    assert_eq!(world.patch(BOT, "/repos/acme/app", json!({ "name": "next" })).await.status, 200);
    let old = world.get(RON, "pulls/1?x=1").await;
    assert_eq!(
        (old.status, old.headers["location"].to_str().unwrap()),
        (301, format!("{}/repositories/{id}/pulls/1?x=1", world.forge.api_url()).as_str())
    );
    let location = old.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(world.get(RON, &location).await.body["base"]["repo"]["full_name"], json!("acme/next"));
    assert_eq!(world.post(RON, "issues/1/comments", json!({ "body": "x" })).await.status, 307);
    assert_eq!(world.get(EVE, "pulls/1").await.status, 404, "no redirect for outsiders");
    let moved = json!({ "new_owner": "other", "new_name": "app" });
    assert_eq!(world.post(BOT, "/repos/acme/next/transfer", moved).await.status, 202);
    let world = world.restart().await;
    assert_eq!(world.get(RON, "pulls/1").await.status, 301);
    let info = format!("{}/acme/app.git/info/refs?service=git-upload-pack", world.forge.url());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(info).basic_auth("x", Some("token-of-ron")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.url().path()), (200, "/other/app.git/info/refs"));
    assert_eq!(world.delete(BOT, "/repos/other/app").await.status, 204);
    assert_eq!(world.get(BOT, "pulls/1").await.status, 404);
}
