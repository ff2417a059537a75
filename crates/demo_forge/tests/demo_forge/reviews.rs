//! Creating, listing, editing and dismissing reviews.

use serde_json::{Value, json};

use crate::world::{ANN, BOT, EVE, RON, World, lines};

#[tokio::test]
async fn author_may_only_comment_on_the_own_pull_request() {
    let world = World::new().await;
    for (event, words) in [("APPROVE", "approve"), ("REQUEST_CHANGES", "request changes on")] {
        let answer = world.post(BOT, "pulls/1/reviews", json!({ "event": event, "body": "Well." })).await;
        let expected = format!("Unprocessable Entity: [\"Review Can not {words} your own pull request\"]");
        assert_eq!((answer.status, answer.errors()), (422, expected));
    }
    let answer = world.post(BOT, "pulls/1/reviews", json!({ "event": "COMMENT", "body": "Well." })).await;
    assert_eq!((answer.status, &answer.body["state"]), (200, &json!("COMMENTED")));
}

#[tokio::test]
async fn comment_outside_the_diff_is_rejected() {
    let world = World::new().await;
    let check = async |comment: Value, expected: &str| {
        let review = json!({ "event": "COMMENT", "body": "x", "comments": [comment] });
        let answer = world.post(RON, "pulls/1/reviews", review).await;
        assert_eq!((answer.status, answer.errors()), (422, format!("Unprocessable Entity: [\"{expected}\"]")));
    };
    for line in [0, 25, u64::MAX] {
        check(json!({ "path": "change.txt", "line": line, "body": "x" }), "Line could not be resolved").await;
    }
    check(json!({ "path": "other.txt", "line": 1, "body": "x" }), "Path could not be resolved").await;
    let long = "x".repeat(200_000);
    for none in
        [".", "../../x", "./change.txt", "change.txt/", "/change.txt", ":(glob)*", "change.txt\0", long.as_str()]
    {
        check(json!({ "path": none, "line": 10, "body": "x" }), "Path could not be resolved").await;
    }
    let start = json!({ "path": "change.txt", "line": 10, "start_line": 12, "body": "x" });
    check(start, "Start line could not be resolved").await;
    assert_eq!(world.get(RON, "pulls/1/reviews").await.body, json!([]), "no review was stored");
}

#[tokio::test]
async fn push_moves_comments_and_outdates_changed_lines() {
    let world = World::new().await;
    let head = world.get(RON, "pulls/1").await.body["head"]["sha"].clone();
    let comments = json!([
        { "path": "change.txt", "line": 10, "body": "This" },
        { "path": "change.txt", "line": 12, "start_line": 11, "body": "Those" },
        { "path": "change.txt", "line": 10, "side": "LEFT", "body": "Before" },
    ]);
    let review = json!({ "event": "REQUEST_CHANGES", "body": "", "comments": comments });
    let id = world.post(RON, "pulls/1/reviews", review).await.body["id"].clone();
    let first = lines(&[(10, "again"), (1, "line 1\nnew")]);
    let files = [("change.txt", first.as_str(), false)];
    let pushed = world.forge.commit(crate::world::REPOSITORY, "job", BOT, &files).await.unwrap();
    let shown = world.get(BOT, &format!("pulls/1/reviews/{id}/comments")).await.body;
    let of = |at: usize| {
        let comment = &shown[at];
        ["line", "original_line", "start_line", "original_start_line", "side", "commit_id", "original_commit_id"]
            .map(|field| comment[field].clone())
    };
    assert_eq!(of(0), [json!(null), json!(10), json!(null), json!(null), json!("RIGHT"), head.clone(), head.clone()]);
    assert_eq!(of(1), [json!(13), json!(12), json!(12), json!(11), json!("RIGHT"), json!(pushed), head.clone()]);
    assert_eq!(of(2), [json!(10), json!(10), json!(null), json!(null), json!("LEFT"), head.clone(), head.clone()]);
    assert_eq!((shown[0].get("line"), &shown[0]["position"]), (None, &json!(null)));
    let listed = world.get(BOT, "pulls/1/comments").await.body;
    assert_eq!((listed[0].get("line"), &listed[0]["original_line"]), (Some(&json!(null)), &json!(10)));
}

#[tokio::test]
async fn author_edits_a_review_and_a_writer_dismisses_it() {
    let world = World::new().await;
    let id = world.request_changes(RON, "No.").await;
    let path = format!("pulls/1/reviews/{id}");
    assert_eq!(world.put(ANN, &path, json!({ "body": "Yes." })).await.status, 403);
    let edited = world.put(RON, &path, json!({ "body": "No!" })).await;
    assert_eq!((edited.status, &edited.body["body"]), (200, &json!("No!")));
    let dismissals = format!("{path}/dismissals");
    assert_eq!(world.put(RON, &dismissals, json!({ "message": "Done" })).await.status, 403);
    let dismissed = world.put(ANN, &dismissals, json!({ "message": "Done" })).await;
    assert_eq!((dismissed.status, &dismissed.body["state"]), (200, &json!("DISMISSED")));
    assert_eq!(world.put(ANN, &dismissals, json!({ "message": "Done" })).await.status, 422);
    assert_eq!(world.get(EVE, &path).await.status, 404);
}
