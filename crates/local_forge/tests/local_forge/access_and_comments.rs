//! Permissions, requested reviewers and comments.

use serde_json::json;

use crate::world::{ANN, BOT, EVE, RON, World};

#[tokio::test]
async fn permissions_are_listed_and_outsiders_get_404() {
    let world = World::new().await;
    for (login, permission) in [(BOT, "admin"), (ANN, "write"), (RON, "read"), (EVE, "none")] {
        let answer = world.get(BOT, &format!("collaborators/{login}/permission")).await;
        assert_eq!((answer.status, &answer.body["permission"]), (200, &json!(permission)), "{login}");
        assert_eq!(answer.body["user"]["login"], json!(login));
    }
    assert_eq!(world.get(BOT, "collaborators/who/permission").await.status, 404);
    assert_eq!(world.get(EVE, "pulls/1").await.status, 404);
}

#[tokio::test]
async fn reviewers_are_collaborators_other_than_the_author() {
    let world = World::new().await;
    let ask =
        async |reviewer: &str| world.post(BOT, "pulls/1/requested_reviewers", json!({ "reviewers": [reviewer] })).await;
    for reviewer in [BOT, EVE, "who"] {
        assert_eq!(ask(reviewer).await.status, 422, "{reviewer}");
    }
    let response = ask(RON).await;
    assert_eq!((response.status, &response.body["requested_reviewers"][0]["login"]), (201, &json!(RON)));
    world.request_changes(RON, "No.").await;
    assert_eq!(world.get(BOT, "pulls/1").await.body["requested_reviewers"], json!([]));
    assert_eq!(ask(RON).await.status, 201, "requested again after the review");
}

#[tokio::test]
async fn comments_are_listed_and_edited_only_by_their_author() {
    let world = World::new().await;
    let note = world.post(RON, "issues/1/comments", json!({ "body": "Hello" })).await;
    let path = format!("issues/comments/{}", note.body["id"]);
    assert_eq!(world.patch(ANN, &path, json!({ "body": "x" })).await.status, 403);
    assert_eq!(world.patch(RON, &path, json!({ "body": "Hello!" })).await.status, 200);
    let all = world.get(ANN, "issues/1/comments").await.body;
    assert_eq!((all.as_array().unwrap().len(), &all[0]["body"]), (1, &json!("Hello!")));
}
