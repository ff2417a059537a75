//! Refused reviews, and comments after a push.

use serde_json::json;

use crate::world::{BOT, EVE, RON, World};

async fn submit(world: &World, fields: &str) -> (u16, String) {
    let answer = world.submit("reviews", fields, &[("sec-fetch-site", "same-origin")]).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn author_may_only_comment_on_the_own_pull_request() {
    let world = World::new().await;
    let review =
        async |event| submit(&world, &format!("user={BOT}&event={event}&body=Well&path=&line=&comment=")).await;
    for (event, verb) in [("APPROVE", "approve"), ("REQUEST_CHANGES", "request changes on")] {
        let (status, page) = review(event).await;
        assert_eq!(status, 422);
        assert!(page.contains(&format!("Review Can not {verb} your own pull request")), "{page}");
    }
    assert_eq!(review("COMMENT").await.0, 303);
    assert_eq!(world.get(RON, "pulls/1/reviews").await.body[0]["state"], json!("COMMENTED"));
}

#[tokio::test]
async fn comment_outside_the_diff_is_rejected() {
    let world = World::new().await;
    let check = async |path: &str, line: u64, expected: &str| {
        let fields = format!("user={RON}&event=COMMENT&body=x&path={path}&line={line}&comment=x");
        let (status, page) = submit(&world, &fields).await;
        assert_eq!(status, 422, "{path}:{line}");
        assert!(page.contains(expected), "{path}:{line}: {page}");
    };
    for line in [0, 25, u64::MAX] {
        check("change.txt", line, "Line could not be resolved").await;
    }
    let long = "x".repeat(200_000);
    for path in
        ["other.txt", ".", "../../x", "./change.txt", "change.txt/", "/change.txt", ":(glob)*", "change.txt%00", &long]
    {
        check(path, 10, "Path could not be resolved").await;
    }
    assert_eq!(world.get(RON, "pulls/1/reviews").await.body, json!([]), "no review was stored");
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
