//! Comments on lines and their threads.

use serde_json::json;

use super::{ANN, REPOSITORY, comment, conversation, error_response, page, scripted_client, uuid_to_id};
use crate::{ErrorKind, Lines, Side};

#[tokio::test]
async fn line_comments_name_the_first_of_their_thread() {
    let played = scripted_client([page(conversation())]);
    let found = played.forge.comments(REPOSITORY, 7).await.unwrap();
    assert!(!found.truncated);
    let actual: Vec<_> = found
        .items
        .iter()
        .map(|comment| (comment.id, comment.in_reply_to, comment.path.as_str(), comment.side))
        .collect();
    assert_eq!(
        actual,
        [
            (1, None, "a.rs", Side::Right),
            (2, Some(1), "a.rs", Side::Right),
            (3, Some(1), "a.rs", Side::Right),
            (4, None, "b.rs", Side::Left),
            (5, None, "c.rs", Side::Right),
            (6, None, "d.rs", Side::Right),
        ]
    );
    let lines: Vec<_> = found.items.iter().map(|comment| comment.lines).collect();
    assert_eq!(
        [lines[0], lines[3], lines[4], lines[5]],
        [
            Lines::Current { start: Some(7), end: 9 },
            Lines::Current { start: None, end: 5 },
            Lines::Original { start: None, end: 3 },
            Lines::File,
        ]
    );
    let first = &found.items[0];
    assert_eq!(
        (first.body.as_str(), first.author.as_ref().map(|author| author.id)),
        ("words 1", Some(uuid_to_id(ANN)))
    );
    assert_eq!(played.requests(), ["GET /repositories/acme/app/pullrequests/7/comments?pagelen=100"]);
}

#[tokio::test]
async fn threads_group_line_comments_by_their_replies() {
    let found = scripted_client([page(conversation())]).forge.threads(REPOSITORY, 7).await.unwrap().items;
    let actual: Vec<_> = found.iter().map(|thread| (thread.id.as_str(), thread.comments.as_slice())).collect();
    assert_eq!(
        actual,
        [
            ("acme/app/7/1", &[1, 2, 3][..]),
            ("acme/app/7/4", &[4][..]),
            ("acme/app/7/5", &[5][..]),
            ("acme/app/7/6", &[6][..]),
        ]
    );
}

#[tokio::test]
async fn thread_with_deleted_first_comment_takes_the_next_id() {
    let inline = json!({ "path": "a.rs", "to": 9 });
    let deleted = comment(1, json!({ "deleted": true, "inline": inline }));
    let answers = |fields| [comment(2, fields), comment(3, json!({ "parent": { "id": 2 } }))];
    let [second, third] = answers(json!({ "parent": { "id": 1 } }));
    // The parent is not listed at all, so the replies supply the line.
    let [placed, fourth] = answers(json!({ "parent": { "id": 1 }, "inline": inline }));
    for all in [json!([deleted, second, third]), json!([placed, fourth])] {
        let played = scripted_client([page(all.clone()), page(all)]);
        let comments = played.forge.comments(REPOSITORY, 7).await.unwrap().items;
        let actual: Vec<_> = comments.iter().map(|comment| (comment.id, comment.in_reply_to)).collect();
        assert_eq!(actual, [(2, Some(1)), (3, Some(1))]);
        let threads = played.forge.threads(REPOSITORY, 7).await.unwrap().items;
        let actual: Vec<_> = threads.iter().map(|thread| (thread.id.as_str(), thread.comments.as_slice())).collect();
        assert_eq!(actual, [("acme/app/7/2", &[1, 2, 3][..])]);
    }
}

#[tokio::test]
async fn reply_is_posted_below_the_threads_first_comment() {
    let played = scripted_client([Some((201, comment(11, json!({ "parent": { "id": 1 } }))))]);
    played.forge.reply("acme/app/7/1", "Done.").await.unwrap();
    assert_eq!(played.requests(), ["POST /repositories/acme/app/pullrequests/7/comments"]);
    assert_eq!(played.last_body(), json!({ "content": { "raw": "Done." }, "parent": { "id": 1 } }));
    for bad in ["", "PRRT_x", "acme/app/7", "acme/app/7/x", "acme/app/x/1", "acme/../7/1", "a/b/c/7/1"] {
        let error = scripted_client([]).forge.reply(bad, "x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing, "{bad}");
    }
}

#[tokio::test]
async fn reply_is_not_retried() {
    let played = scripted_client([error_response(502, "away")]);
    assert!(played.forge.reply("acme/app/7/1", "Done.").await.unwrap_err().is_transient());
    assert_eq!(played.requests().len(), 1);
}
