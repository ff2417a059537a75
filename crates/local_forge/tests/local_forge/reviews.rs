//! Refused reviews, and comments after a push.

use serde_json::json;

use crate::world::{BOT, EVE, RON, World};

#[tokio::test]
async fn author_may_only_comment_on_the_own_pull_request() {
    let world = World::new().await;
    let review = async |event| world.post(BOT, "pulls/1/reviews", json!({ "event": event, "body": "Well" })).await;
    for (event, verb) in [("APPROVE", "approve"), ("REQUEST_CHANGES", "request changes on")] {
        let answer = review(event).await;
        assert_eq!(answer.status, 422);
        let expected = format!("Review Can not {verb} your own pull request");
        assert!(answer.errors().contains(&expected), "{}", answer.errors());
    }
    assert_eq!(review("COMMENT").await.status, 200);
    assert_eq!(world.get(RON, "pulls/1/reviews").await.body[0]["state"], json!("COMMENTED"));
}

#[tokio::test]
async fn comment_outside_the_diff_is_rejected() {
    let world = World::new().await;
    let check = async |path: &str, line: u64, expected: &str| {
        let body = json!({ "event": "COMMENT", "comments": [{ "path": path, "line": line, "body": "x" }] });
        let answer = world.post(RON, "pulls/1/reviews", body).await;
        assert_eq!(answer.status, 422, "{path}:{line}");
        assert!(answer.errors().contains(expected), "{path}:{line}: {}", answer.errors());
    };
    for line in [0, 25, u64::MAX] {
        check("change.txt", line, "Line could not be resolved").await;
    }
    let long = "x".repeat(200_000);
    for path in
        ["other.txt", ".", "../../x", "./change.txt", "change.txt/", "/change.txt", ":(glob)*", "change.txt\0", &long]
    {
        check(path, 10, "Path could not be resolved").await;
    }
    assert_eq!(world.get(RON, "pulls/1/reviews").await.body, json!([]), "no review was stored");
}

#[tokio::test]
async fn only_a_new_review_of_an_older_commit_is_refused() {
    let world = World::new().await;
    let head = world.get(RON, "pulls/1").await.body["head"]["sha"].clone();
    let review = json!({ "event": "APPROVE", "commit_id": head });
    let send = async |key| world.post_with_key(RON, "pulls/1/reviews", review.clone(), key).await;
    let first = send("one").await;
    assert_eq!(first.status, 200);
    world.push(&[(10, "again")]).await;
    let repeat = send("one").await;
    assert_eq!((repeat.status, &repeat.body["id"]), (200, &first.body["id"]));
    let other = send("two").await;
    assert_eq!(other.status, 422);
    assert!(other.errors().contains("The branch has new commits"), "{}", other.errors());
    // The key of another account is another key.
    let comment = json!({ "body": "Well" });
    for (login, key, expected) in [(RON, "one", 1), (RON, "one", 1), (BOT, "one", 2), (RON, "two", 3)] {
        let answer = world.post_with_key(login, "issues/1/comments", comment.clone(), key).await;
        assert_eq!(answer.status, 201);
        let comments = world.get(RON, "issues/1/comments").await.body;
        assert_eq!(comments.as_array().unwrap().len(), expected, "{login} {key}");
    }
    assert_eq!(world.get(RON, "pulls/1/reviews").await.body.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn comment_for_an_older_commit_moves_with_its_line() {
    let world = World::new().await;
    let head = world.get(RON, "pulls/1").await.body["head"]["sha"].clone();
    world.push(&[(1, "first"), (10, "again")]).await;
    let comment = |line: u64| json!({ "path": "change.txt", "line": line, "body": "Well" });
    let review = json!({ "event": "COMMENT", "commit_id": head, "comments": [comment(10), comment(11)] });
    let sent = world.post(RON, "pulls/1/reviews", review.clone()).await;
    assert_eq!((sent.status, &sent.body["commit_id"]), (200, &head), "{}", sent.body);
    let comments = world.get(RON, "pulls/1/comments").await.body;
    assert_eq!((&comments[0]["line"], &comments[1]["line"]), (&json!(null), &json!(11)), "{comments}");
    for wrong in ["a".repeat(40), "--all".to_owned()] {
        let mut review = review.clone();
        review["commit_id"] = json!(wrong);
        let sent = world.post(RON, "pulls/1/reviews", review).await;
        assert_eq!(sent.status, 422, "{wrong}: {}", sent.body);
    }
}

#[tokio::test]
async fn comment_at_another_line_is_no_repeat() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for (line, body) in [(10, "typo"), (10, "typo"), (11, "typo")] {
        let comment = json!({ "path": "change.txt", "line": line, "body": body });
        let review = json!({ "event": "COMMENT", "comments": [comment] });
        ids.push(world.post_with_key(RON, "pulls/1/reviews", review, "one").await.body["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
}

#[tokio::test]
async fn push_moves_comments_and_outdates_changed_lines() {
    let world = World::new().await;
    let head = world.get(RON, "pulls/1").await.body["head"]["sha"].clone();
    let id = world.request_changes(RON, "").await;
    let path = format!("pulls/1/reviews/{id}/comments");
    let comment = async || {
        let comments = world.get(BOT, &path).await.body;
        ["line", "original_line", "commit_id", "original_commit_id"].map(|field| comments[0][field].clone())
    };
    let moved = world.push(&[(10, "changed"), (1, "line 1\nnew")]).await;
    assert_eq!(comment().await, [json!(11), json!(10), json!(moved), head.clone()]);
    world.push(&[(10, "again"), (1, "line 1\nnew")]).await;
    assert_eq!(comment().await, [json!(null), json!(10), json!(moved), head]);
    assert_eq!(world.get(BOT, &path).await.body[0].get("line"), None);
    let listed = world.get(BOT, "pulls/1/comments").await.body;
    assert_eq!((listed[0].get("line"), &listed[0]["original_line"]), (Some(&json!(null)), &json!(10)));
    assert_eq!(world.get(EVE, &path).await.status, 404);
}
