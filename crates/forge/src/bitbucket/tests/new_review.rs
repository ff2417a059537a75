//! Reviews that are made of comments.

use serde_json::{Value, json};

use super::{HASH, REPOSITORY, comment, error_response, scripted_client};
use crate::{NewLineComment, NewReview, Side, Verdict};

#[tokio::test]
async fn review_is_posted_as_comments_with_the_text_last() {
    let created = || Some((201, comment(11, json!({}))));
    let played = scripted_client([created(), created(), created()]);
    let on =
        |side, start_line| NewLineComment { side, start_line, ..NewLineComment::on_line("a.rs".into(), 9, "B".into()) };
    let review = NewReview {
        head: HASH.to_owned(),
        verdict: Verdict::Comment,
        body: "Text".to_owned(),
        comments: vec![on(Side::Right, None), on(Side::Left, Some(7))],
        key: "k".to_owned(),
    };
    played.forge.create_review(REPOSITORY, 7, &review).await.unwrap();
    assert_eq!(played.requests(), ["POST /repositories/acme/app/pullrequests/7/comments"; 3]);
    let raw = |text: &str, inline: Value| json!({ "content": { "raw": text }, "inline": inline });
    assert_eq!(
        played.bodies(),
        [
            raw("B", json!({ "path": "a.rs", "to": 9 })),
            raw("B", json!({ "path": "a.rs", "from": 9, "start_from": 7 })),
            json!({ "content": { "raw": "Text" } }),
        ]
    );

    // The text would say that the review is complete.
    let played = scripted_client([created(), error_response(502, "away")]);
    assert!(played.forge.create_review(REPOSITORY, 7, &review).await.unwrap_err().is_transient());
    assert_eq!(played.requests().len(), 2);
}
