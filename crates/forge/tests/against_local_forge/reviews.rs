//! Calls about reviews, and the meaning of their responses.

use crate::prelude::*;
use pullyard_domain::review::pull_request::MergeMethod;
use pullyard_forge::{
    CommitState, CommitStatus, Error, ErrorKind, Lines, Permission, PullRequestState, ReviewState, Side, Time,
};

use crate::scripted_forge::{ScriptLine, ok, script_forge};
use crate::world::{REPOSITORY, actor};

const TIME: &str = "2026-11-20T12:04:01Z";
const HEAD: &str = "0123456789abcdef0123456789abcdef01234567";
const BIG: u64 = 9_007_199_254_740_993;
const NEXT_PAGE: &[(&str, &str)] =
    &[("link", "<http://elsewhere/?page=2>; rel=\"next\", <http://elsewhere/>; rel=\"last\"")];

fn page(body: Value) -> ScriptLine {
    (200, NEXT_PAGE, body.to_string())
}

fn ann() -> Value {
    json!({ "id": BIG, "login": "ann", "type": "User" })
}

fn review(id: u64, state: &str) -> Value {
    json!({
        "id": id, "state": state, "body": null, "submitted_at": TIME, "html_url": "h",
        "user": ann(),
    })
}

fn comment(id: u64, fields: Value) -> Value {
    let mut comment = json!({
        "id": id, "pull_request_review_id": 7, "path": "a.rs", "user": ann(), "body": "Why?",
        "created_at": TIME, "updated_at": TIME, "html_url": "h",
    });
    for (name, value) in fields.as_object().unwrap() {
        comment[name] = value.clone();
    }
    comment
}

fn pull(state: &str, merged_at: Value) -> Value {
    json!({
        "number": 7, "html_url": "h", "title": "T", "state": state, "draft": true, "merged_at": merged_at,
        "updated_at": TIME, "user": {"id": 1, "login": "pullyard[bot]", "type": "Bot"},
        "head": {"ref": "job", "sha": "a", "repo": null}, "base": {"ref": "main", "sha": "b", "repo": {"id": 1}},
    })
}

#[tokio::test]
async fn pull_request_is_read_by_its_number() {
    let (forge, scripted) = script_forge([ok(pull("open", Value::Null)), ok(pull("closed", TIME.into()))]).await;
    let open = forge.pull_request(REPOSITORY, 7).await.unwrap();
    assert_eq!((open.state, open.draft, open.head_repository), (PullRequestState::Open, true, None));
    assert_eq!(Some(open.updated_at), Time::parse(TIME));
    assert_eq!(forge.pull_request(REPOSITORY, 7).await.unwrap().state, PullRequestState::Merged);
    assert_eq!(scripted.requests()[0], "GET /repos/acme/app/pulls/7");
}

/// No fake forge squashes.
#[tokio::test]
async fn merge_sends_the_head_and_its_method() {
    for (method, body) in [
        (None, json!({ "sha": HEAD })),
        (Some(MergeMethod::Merge), json!({ "sha": HEAD, "merge_method": "merge" })),
        (Some(MergeMethod::Squash), json!({ "sha": HEAD, "merge_method": "squash" })),
        (Some(MergeMethod::Rebase), json!({ "sha": HEAD, "merge_method": "rebase" })),
    ] {
        let merged = json!({ "sha": "c", "merged": true, "message": "Pull Request successfully merged" });
        let (forge, scripted) = script_forge([ok(merged)]).await;
        forge.merge(REPOSITORY, 7, HEAD, method).await.unwrap();
        assert_eq!(scripted.requests(), ["PUT /repos/acme/app/pulls/7/merge"]);
        assert_eq!(scripted.bodies(), [body]);
    }
}

#[tokio::test]
async fn pull_requests_are_paged_by_latest_change() {
    let (forge, scripted) = script_forge([page(json!([pull("open", Value::Null)])), ok(json!([]))]).await;
    let first = forge.pull_requests(REPOSITORY, 1).await.unwrap();
    assert_eq!((first.items.len(), first.next), (1, Some(2)));
    let second = forge.pull_requests(REPOSITORY, 2).await.unwrap();
    assert_eq!((second.items.len(), second.next), (0, None));
    let query = "state=all&sort=updated&direction=desc&per_page=100";
    assert_eq!(scripted.requests()[1], format!("GET /repos/acme/app/pulls?{query}&page=2"));
}

#[tokio::test]
async fn all_review_pages_are_read_and_unknown_states_skipped() {
    let odd = review(3, "SHINY");
    let lines = [page(json!([review(BIG, "CHANGES_REQUESTED"), odd])), ok(json!([review(2, "approved")]))];
    let (forge, scripted) = script_forge(lines).await;
    let reviews = forge.reviews(REPOSITORY, 7).await.unwrap();
    assert!(!reviews.truncated);
    let states: Vec<_> = reviews.items.iter().map(|review| (review.id, review.state)).collect();
    assert_eq!(states, [(BIG, ReviewState::ChangesRequested), (2, ReviewState::Approved)]);
    assert_eq!(reviews.items[0].body, "");
    assert_eq!(
        scripted.requests(),
        [1, 2].map(|n| format!("GET /repos/acme/app/pulls/7/reviews?per_page=100&page={n}"))
    );
}

#[tokio::test]
async fn endless_list_is_cut_and_reported_as_partial() {
    let (forge, scripted) = script_forge::<20>(std::array::from_fn(|_| page(json!([review(1, "COMMENTED")])))).await;
    let reviews = forge.reviews(REPOSITORY, 7).await.unwrap();
    assert!(reviews.truncated);
    assert_eq!((reviews.items.len(), scripted.requests().len()), (10, 10));
}

#[tokio::test]
async fn comment_lines_are_current_original_or_whole_file() {
    let comments = json!([
        comment(1, json!({"line": 5, "original_line": 4, "start_line": 3, "side": "LEFT"})),
        comment(2, json!({"line": null, "original_line": 4, "original_start_line": 2, "side": "RIGHT"})),
        comment(3, json!({"line": null, "subject_type": "file", "in_reply_to_id": 1})),
    ]);
    let (forge, scripted) = script_forge([ok(comments)]).await;
    let found = forge.review_comments(REPOSITORY, 7, 9).await.unwrap().items;
    let lines: Vec<_> = found.iter().map(|comment| comment.lines).collect();
    let expected = [Lines::Current { start: Some(3), end: 5 }, Lines::Original { start: Some(2), end: 4 }, Lines::File];
    assert_eq!(lines, expected);
    assert_eq!((found[0].side, found[1].side, found[2].in_reply_to), (Side::Left, Side::Right, Some(1)));
    assert_eq!(scripted.requests(), ["GET /repos/acme/app/pulls/7/reviews/9/comments?per_page=100&page=1"]);
}

#[tokio::test]
async fn missing_comment_lines_come_from_the_pull_request_list() {
    let lines = [
        ok(json!([comment(1, json!({})), comment(2, json!({"line": 8}))])),
        ok(json!([comment(4, json!({"line": 1})), comment(1, json!({"line": 5}))])),
    ];
    let (forge, scripted) = script_forge(lines).await;
    let found = forge.review_comments(REPOSITORY, 7, 7).await.unwrap().items;
    let lines: Vec<_> = found.iter().map(|comment| (comment.id, comment.lines)).collect();
    assert_eq!(lines, [(1, Lines::Current { start: None, end: 5 }), (2, Lines::Current { start: None, end: 8 })]);
    assert_eq!(scripted.requests()[1], "GET /repos/acme/app/pulls/7/comments?per_page=100&page=1");
}

fn threads(more: bool, ids: [&str; 2]) -> ScriptLine {
    let info = |more: bool| json!({"hasNextPage": more, "endCursor": if more { json!("c1") } else { json!(null) }});
    ok(json!({"data": {"repository": {"pullRequest": {"reviewThreads": {"pageInfo": info(more), "nodes": [{
        "id": "PRRT_1", "isResolved": true,
        "comments": {"nodes": [{"fullDatabaseId": ids[0]}, {"fullDatabaseId": ids[1]}]},
    }]}}}}}))
}

#[tokio::test]
async fn all_thread_pages_are_read_with_64_bit_ids() {
    let (forge, scripted) = script_forge([threads(true, ["9007199254740993", "2"]), threads(false, ["3", "4"])]).await;
    let threads = forge.threads(REPOSITORY, 7).await.unwrap();
    assert!(!threads.truncated);
    assert_eq!((&threads.items[0].comments[..], threads.items[0].resolved), (&[BIG, 2][..], true));
    assert_eq!(scripted.requests(), ["POST /graphql"; 2]);
    assert_eq!(scripted.bodies()[1]["variables"], json!({"owner": "acme", "name": "app", "number": 7, "after": "c1"}));
}

#[tokio::test]
async fn reply_is_not_retried() {
    let comment = json!({"fullDatabaseId": "9007199254740993"});
    let done = json!({"data": {"addPullRequestReviewThreadReply": {"comment": comment}}});
    let away = |status| -> ScriptLine { (status, &[], "{}".to_owned()) };
    let (forge, scripted) = script_forge([ok(done), away(502), away(500)]).await;
    forge.reply("PRRT_1", "Done.").await.unwrap();
    assert_eq!(scripted.bodies()[0]["variables"], json!({"thread": "PRRT_1", "body": "Done."}));
    for _ in 0..2 {
        let error = forge.reply("PRRT_1", "Done.").await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unavailable, true), "the caller may retry");
    }
    assert_eq!(scripted.requests().len(), 3);
}

#[tokio::test]
async fn graphql_errors_with_status_200_are_errors() {
    let fault = |kind: &str| {
        let fault = json!({"type": kind, "path": ["addPullRequestReviewThreadReply"], "message": "No way."});
        ok(json!({"data": {"addPullRequestReviewThreadReply": null}, "errors": [fault]}))
    };
    for (kind, expected) in [
        ("NOT_FOUND", ErrorKind::Missing),
        ("FORBIDDEN", ErrorKind::Denied),
        ("INSUFFICIENT_SCOPES", ErrorKind::Denied),
        ("UNPROCESSABLE", ErrorKind::Refused),
        ("SERVICE_UNAVAILABLE", ErrorKind::Unavailable),
        ("INTERNAL", ErrorKind::Unavailable),
    ] {
        let (forge, _) = script_forge([fault(kind)]).await;
        assert_eq!(forge.reply("PRRT_1", "Done.").await.unwrap_err().kind(), expected, "{kind}");
    }
    for kind in ["RATE_LIMITED", "RATE_LIMIT"] {
        let (forge, _) = script_forge([fault(kind)]).await;
        assert!(matches!(forge.reply("t", "b").await.unwrap_err(), Error::RateLimited { .. }), "{kind}");
    }
    let limit = json!([{ "type": "UNPROCESSABLE", "message": "was submitted too quickly" }]);
    let (forge, _) = script_forge([ok(json!({ "data": null, "errors": limit }))]).await;
    assert!(matches!(forge.reply("t", "b").await.unwrap_err(), Error::RateLimited { .. }));
    // Partial data counts as a failure, since the missing part is unknown.
    let mut half = serde_json::from_str::<Value>(&threads(false, ["1", "2"]).2).unwrap();
    half["errors"] = json!([{ "type": "FORBIDDEN", "message": "Not all of it." }]);
    let (forge, _) = script_forge([ok(half)]).await;
    assert_eq!(forge.threads(REPOSITORY, 7).await.unwrap_err().kind(), ErrorKind::Denied);
    let empty = ok(json!({"data": {"addPullRequestReviewThreadReply": {"comment": null}}}));
    let (forge, _) = script_forge([empty, ok(json!({})), ok(json!({"data": {"repository": null}}))]).await;
    assert_eq!(forge.reply("t", "b").await.unwrap_err().kind(), ErrorKind::Refused);
    assert!(matches!(forge.reply("t", "b").await.unwrap_err(), Error::Unreadable { .. }));
    assert_eq!(forge.threads(REPOSITORY, 7).await.unwrap_err().kind(), ErrorKind::Missing);
}

fn issue_comment(id: u64, body: &str) -> Value {
    json!({"id": id, "body": body, "user": null, "created_at": TIME, "updated_at": TIME, "html_url": "h"})
}

#[tokio::test]
async fn issue_comments_are_listed_created_and_edited() {
    let lines = [
        page(json!([issue_comment(1, "a")])),
        ok(json!([issue_comment(2, "b")])),
        (201, &[], issue_comment(3, "c").to_string()),
        ok(issue_comment(3, "d")),
    ];
    let (forge, scripted) = script_forge(lines).await;
    let found = forge.issue_comments(REPOSITORY, 7).await.unwrap();
    assert_eq!((found.items.len(), found.truncated, found.items[0].author.is_none()), (2, false, true));
    assert_eq!(forge.create_comment(REPOSITORY, 7, "c").await.unwrap().id, 3);
    assert_eq!(forge.edit_comment(REPOSITORY, 7, 3, "d").await.unwrap().body, "d");
    let requests = scripted.requests();
    assert_eq!(requests[2..], ["POST /repos/acme/app/issues/7/comments", "PATCH /repos/acme/app/issues/comments/3"]);
    assert_eq!(scripted.bodies()[2..], [json!({"body": "c"}), json!({"body": "d"})]);
}

#[tokio::test]
async fn comment_edit_is_retried_and_creation_is_not() {
    let away: ScriptLine = (502, &[], "{}".to_owned());
    let (forge, scripted) = script_forge([away.clone(), away, ok(issue_comment(3, "d"))]).await;
    assert!(forge.create_comment(REPOSITORY, 7, "c").await.unwrap_err().is_transient());
    assert_eq!(forge.edit_comment(REPOSITORY, 7, 3, "d").await.unwrap().id, 3);
    assert_eq!(scripted.requests().len(), 3);
}

#[tokio::test]
async fn permission_comes_from_word_and_role() {
    for (word, role, expected) in [
        ("admin", "admin", Permission::Admin),
        ("write", "maintain", Permission::Write),
        ("read", "triage", Permission::Read),
        ("none", "none", Permission::None),
        ("owner of everything", "custom", Permission::None),
    ] {
        let (forge, scripted) = script_forge([ok(json!({"permission": word, "role_name": role, "user": ann()}))]).await;
        let access = forge.permission(REPOSITORY, 7, &actor("ann")).await.unwrap();
        assert_eq!((access.permission, access.role.as_str(), access.account), (expected, role, Some(BIG)));
        assert_eq!(scripted.requests(), ["GET /repos/acme/app/collaborators/ann/permission"]);
    }
    assert!(Permission::Admin > Permission::Write && Permission::Write > Permission::Read);
}

#[tokio::test]
async fn permission_request_is_not_retried() {
    for (status, expected) in [(502, ErrorKind::Unavailable), (403, ErrorKind::Denied), (404, ErrorKind::Missing)] {
        let refusal = json!({"message": "No."}).to_string();
        let (forge, scripted) = script_forge([(status, &[], refusal), ok(json!({"permission": "admin"}))]).await;
        assert_eq!(forge.permission(REPOSITORY, 7, &actor("ann")).await.unwrap_err().kind(), expected);
        assert_eq!(scripted.requests().len(), 1);
    }
}

#[tokio::test]
async fn missing_account_has_no_permission() {
    let missing = json!({"message": "ghost is not a user", "status": "404"}).to_string();
    let (forge, _) = script_forge([(404, &[], missing)]).await;
    let access = forge.permission(REPOSITORY, 7, &actor("ghost")).await.unwrap();
    assert_eq!((access.permission, access.account), (Permission::None, None));
    let (forge, scripted) = script_forge([]).await;
    for odd in ["", "..", "a/b", "ann?x"] {
        let access = forge.permission(REPOSITORY, 7, &actor(odd)).await.unwrap();
        assert_eq!(access.permission, Permission::None, "{odd}");
    }
    assert!(scripted.requests().is_empty());
}

#[tokio::test]
async fn reviewers_are_requested_by_name_with_retries() {
    let away: ScriptLine = (502, &[], "{}".to_owned());
    let (forge, scripted) = script_forge([away, (201, &[], pull("open", Value::Null).to_string())]).await;
    forge.request_reviewers(REPOSITORY, 7, &["ann", "bob"]).await.unwrap();
    assert_eq!(scripted.requests(), ["POST /repos/acme/app/pulls/7/requested_reviewers"; 2]);
    assert_eq!(scripted.bodies()[1], json!({"reviewers": ["ann", "bob"]}));
}

#[tokio::test]
async fn status_is_sent_with_its_word_and_retried() {
    for (state, word, target_url) in [
        (CommitState::Pending, "pending", None),
        (CommitState::Success, "success", Some("https://pullyard.example/jobs/1")),
        (CommitState::Failure, "failure", None),
        (CommitState::Error, "error", None),
    ] {
        let (forge, scripted) = script_forge([(502, &[], "{}".to_owned()), (201, &[], "{}".to_owned())]).await;
        let status = CommitStatus {
            state,
            context: "pullyard".to_owned(),
            description: "x".repeat(300),
            target_url: target_url.map(str::to_owned),
            branch: Some("job".to_owned()),
        };
        let sha = "a".repeat(40);
        forge.set_status(REPOSITORY, &sha, &status).await.unwrap();
        assert_eq!(scripted.requests(), vec![format!("POST /repos/acme/app/statuses/{sha}"); 2]);
        let sent = &scripted.bodies()[1];
        assert_eq!((&sent["state"], &sent["context"]), (&json!(word), &json!("pullyard")));
        assert_eq!(sent["description"].as_str().unwrap().chars().count(), 140);
        assert_eq!(sent.get("target_url"), target_url.map(|url| json!(url)).as_ref());
        assert_eq!(forge.set_status(REPOSITORY, "main", &status).await.unwrap_err().kind(), ErrorKind::Missing);
    }
}
