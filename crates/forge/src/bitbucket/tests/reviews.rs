//! Reviews from a pull request's activity, and the comments that belong to each.

use serde_json::{Value, json};

use super::{ANN, API, REPOSITORY, comment, error_response, ok, page, pull, scripted_client};
use crate::{
    Actor, Error, ErrorKind, Permission, ReviewState, Time,
    bitbucket::{review_id, uuid_to_id},
};

const BEN: &str = "{bbbbbbbb-1660-40e2-ac86-735082b94b74}";
const ACTIVITY: &str = "GET /repositories/acme/app/pullrequests/7/activity?pagelen=50";
const PULL: &str = "GET /repositories/acme/app/pullrequests/7";
const COMMENTS: &str = "GET /repositories/acme/app/pullrequests/7/comments?pagelen=100";

fn at(minute: u32) -> String {
    let fraction = if minute > 9 { ".123456" } else { "" };
    format!("2026-11-20T12:{minute:02}:00{fraction}+00:00")
}

fn time(minute: u32) -> Time {
    Time::parse(&at(minute)).unwrap()
}

fn id(uuid: &str, minute: u32) -> u64 {
    review_id(7, uuid, time(minute))
}

fn account(uuid: &str) -> Value {
    json!({ "type": "user", "uuid": uuid, "nickname": if uuid == ANN { "ann" } else { "ben" } })
}

fn deleted_account() -> Value {
    json!({ "type": "user", "display_name": "Former user" })
}

fn entry(kind: &str, user: Value, minute: u32) -> Value {
    let about = json!({ "type": "pullrequest", "id": 7, "title": "T" });
    json!({ "pull_request": about, kind: { "date": at(minute), "user": user, "pullrequest": about } })
}

fn asks(uuid: &str, minute: u32) -> Value {
    entry("changes_requested", account(uuid), minute)
}

fn approves(uuid: &str, minute: u32) -> Value {
    entry("approval", account(uuid), minute)
}

fn push(hash: &str, minute: u32) -> Value {
    let source = json!({ "branch": { "name": "pullyard/t-1" }, "commit": { "type": "commit", "hash": hash } });
    json!({ "update": { "state": "OPEN", "date": at(minute), "author": account(ANN), "source": source } })
}

fn participant(uuid: &str, state: Value) -> Value {
    json!({
        "type": "participant", "user": account(uuid), "role": "PARTICIPANT", "approved": state == "approved",
        "state": state, "participated_on": at(59),
    })
}

fn pull_with_participants(participants: Value) -> Value {
    let mut pull = pull(7, "OPEN");
    pull["participants"] = participants;
    pull["reviewers"] = json!([]);
    pull
}

#[tokio::test]
async fn review_states_follow_activity_and_participants() {
    const ASKS: ReviewState = ReviewState::ChangesRequested;
    const APPROVES: ReviewState = ReviewState::Approved;
    const GONE: ReviewState = ReviewState::Dismissed;
    let now = |uuid: &str, state: &str| participant(uuid, json!(state));
    let silent = |uuid: &str| participant(uuid, Value::Null);
    let mut older = silent(ANN);
    older["approved"] = json!(true);
    older.as_object_mut().unwrap().remove("state");
    let mut deleted = now(ANN, "changes_requested");
    deleted["user"] = deleted_account();
    let mut undated = asks(ANN, 2);
    undated["changes_requested"].as_object_mut().unwrap().remove("date");
    let changed = "changes_requested";
    for (case, activity, participants, expected) in [
        ("asked", vec![asks(ANN, 1)], vec![now(ANN, changed)], vec![(ANN, 1, ASKS)]),
        ("withdrawn", vec![asks(ANN, 1)], vec![silent(ANN)], vec![(ANN, 1, GONE)]),
        ("no participant", vec![asks(ANN, 1)], vec![], vec![(ANN, 1, GONE)]),
        (
            "asked twice",
            vec![asks(ANN, 5), asks(ANN, 1)],
            vec![now(ANN, changed)],
            vec![(ANN, 1, ASKS), (ANN, 5, ASKS)],
        ),
        (
            "asked twice and withdrawn",
            vec![asks(ANN, 5), asks(ANN, 1)],
            vec![silent(ANN)],
            vec![(ANN, 1, GONE), (ANN, 5, GONE)],
        ),
        (
            "asked, then approved",
            vec![approves(ANN, 5), asks(ANN, 1)],
            vec![now(ANN, "approved")],
            vec![(ANN, 1, GONE), (ANN, 5, APPROVES)],
        ),
        (
            "approved, then asked",
            vec![asks(ANN, 5), approves(ANN, 1)],
            vec![now(ANN, changed)],
            vec![(ANN, 1, GONE), (ANN, 5, ASKS)],
        ),
        ("approval withdrawn", vec![approves(ANN, 1)], vec![silent(ANN)], vec![(ANN, 1, GONE)]),
        ("approved without a state", vec![approves(ANN, 1)], vec![older], vec![(ANN, 1, APPROVES)]),
        (
            "two authors",
            vec![asks(BEN, 3), asks(ANN, 1)],
            vec![now(BEN, changed), silent(ANN)],
            vec![(ANN, 1, GONE), (BEN, 3, ASKS)],
        ),
        (
            "deleted account",
            vec![entry("changes_requested", deleted_account(), 3), asks(ANN, 1)],
            vec![deleted, now(ANN, changed)],
            vec![(ANN, 1, ASKS)],
        ),
        (
            "without author or date",
            vec![entry("changes_requested", Value::Null, 3), undated, asks(ANN, 1)],
            vec![now(ANN, changed)],
            vec![(ANN, 1, ASKS)],
        ),
        (
            "on two pages",
            vec![asks(ANN, 5), asks(ANN, 1), asks(ANN, 1)],
            vec![now(ANN, changed)],
            vec![(ANN, 1, ASKS), (ANN, 5, ASKS)],
        ),
        (
            "what else happened",
            vec![
                json!({ "comment": comment(1, json!({})) }),
                json!({ "update": { "state": "OPEN", "date": at(2), "author": account(ANN) } }),
                asks(ANN, 1),
            ],
            vec![now(ANN, changed)],
            vec![(ANN, 1, ASKS)],
        ),
        (
            "taken away by a push",
            vec![push("b", 5), asks(ANN, 2), push("a", 1)],
            vec![silent(ANN)],
            vec![(ANN, 2, ASKS)],
        ),
        ("title changed", vec![push("a", 5), asks(ANN, 2), push("a", 1)], vec![silent(ANN)], vec![(ANN, 2, GONE)]),
        (
            "withdrawn after a push",
            vec![asks(ANN, 7), push("b", 5), push("a", 1)],
            vec![silent(ANN)],
            vec![(ANN, 7, GONE)],
        ),
        (
            "asked after a push, withdrawn",
            vec![asks(ANN, 7), push("b", 5), asks(ANN, 2), push("a", 1)],
            vec![silent(ANN)],
            vec![(ANN, 2, GONE), (ANN, 7, GONE)],
        ),
        (
            "BEN asked after the push",
            vec![asks(BEN, 9), push("b", 8), asks(ANN, 7), asks(ANN, 2), push("a", 1)],
            vec![silent(ANN), silent(BEN)],
            vec![(ANN, 2, ASKS), (ANN, 7, ASKS), (BEN, 9, GONE)],
        ),
        (
            "both taken away by a push",
            vec![push("b", 5), approves(ANN, 3), asks(ANN, 2), push("a", 1)],
            vec![silent(ANN)],
            vec![(ANN, 2, GONE), (ANN, 3, GONE)],
        ),
        (
            "approved after a push",
            vec![approves(ANN, 6), push("b", 5), asks(ANN, 2), push("a", 1)],
            vec![now(ANN, "approved")],
            vec![(ANN, 2, GONE), (ANN, 6, APPROVES)],
        ),
        (
            "push of a deleted branch",
            vec![json!({ "update": { "date": at(5), "source": { "commit": null } } }), asks(ANN, 2), push("a", 1)],
            vec![silent(ANN)],
            vec![(ANN, 2, GONE)],
        ),
    ] {
        let played = scripted_client([page(activity.into()), ok(pull_with_participants(participants.into()))]);
        let found = played.forge.reviews(REPOSITORY, 7).await.unwrap();
        let actual: Vec<_> = found
            .items
            .iter()
            .map(|review| {
                (review.id, review.author.as_ref().map(|author| author.id), review.submitted_at, review.state)
            })
            .collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(uuid, minute, state)| (id(uuid, minute), Some(uuid_to_id(uuid)), Some(time(minute)), state))
            .collect();
        assert_eq!(actual, expected, "{case}");
        assert!(!found.truncated, "{case}");
        assert_eq!(played.requests(), [ACTIVITY, PULL], "{case}");
        for review in found.items {
            assert_eq!(review.url, "https://bitbucket.org/acme/app/pull-requests/7", "{case}");
            assert_eq!((review.body.as_str(), review.updated_at), ("", None), "{case}");
        }
    }
}

#[tokio::test]
async fn participants_are_not_read_without_reviews() {
    let played = scripted_client([page(json!([{ "update": { "state": "OPEN" } }]))]);
    assert!(played.forge.reviews(REPOSITORY, 7).await.unwrap().items.is_empty());
    assert_eq!(played.requests(), [ACTIVITY]);
    let absent = scripted_client([error_response(404, "no")]).forge.reviews(REPOSITORY, 7).await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::Missing);
}

fn page_with_next(values: Value) -> Option<(u16, Value)> {
    ok(json!({ "values": values, "next": format!("{API}/elsewhere?page=2") }))
}

/// Ten full pages: Ann requests changes on the first and on the last.
fn long_activity() -> impl Iterator<Item = Option<(u16, Value)>> {
    let first = page_with_next(json!([asks(ANN, 30)]));
    let last = page_with_next(json!([asks(ANN, 10)]));
    std::iter::once(first).chain((0..8).map(|_| page_with_next(json!([])))).chain([last])
}

#[tokio::test]
async fn long_activity_is_cut_and_reported_as_partial() {
    let people = ok(pull_with_participants(json!([participant(ANN, json!("changes_requested"))])));
    let played = scripted_client(long_activity().chain([people]));
    let found = played.forge.reviews(REPOSITORY, 7).await.unwrap();
    assert_eq!(found.items.iter().map(|review| review.id).collect::<Vec<_>>(), [id(ANN, 10), id(ANN, 30)]);
    assert!(found.truncated && played.requests().len() == 11);

    // Comments before the older request may belong to a request that was not read.
    for (minute, is_cut) in [(10, true), (30, false)] {
        let played = scripted_client(long_activity().chain([page(json!([]))]));
        let found = played.forge.review_comments(REPOSITORY, 7, id(ANN, minute)).await.unwrap();
        assert_eq!((found.items.len(), found.truncated), (0, is_cut), "{minute}");
    }
    let unread = scripted_client(long_activity()).forge.review(REPOSITORY, 7, id(ANN, 1)).await.unwrap_err();
    assert_eq!(unread.kind(), ErrorKind::Missing);
}

#[tokio::test]
async fn long_comment_list_is_reported_as_partial() {
    let played =
        scripted_client(std::iter::once(page(json!([asks(ANN, 1)]))).chain((0..10).map(|_| page_with_next(json!([])))));
    assert!(played.forge.review_comments(REPOSITORY, 7, id(ANN, 1)).await.unwrap().truncated);
}

fn comment_by(id: u64, user: Value, minute: u32, fields: Value) -> Value {
    let mut response = comment(id, fields);
    (response["user"], response["created_on"], response["updated_on"]) = (user, json!(at(minute)), json!(at(minute)));
    response
}

/// Ann requests changes at 10, 20 and 30, Ben at 15; each comments before and after.
fn all_comments() -> Value {
    let on = |path: &str| json!({ "path": path, "from": null, "to": 3 });
    let (ann, ben) = (|| account(ANN), || account(BEN));
    let content = |raw: &str| json!({ "type": "rendered", "raw": raw });
    json!([
        comment_by(1, ann(), 1, json!({})),
        comment_by(2, ann(), 10, json!({})),
        comment_by(3, ann(), 12, json!({})),
        comment_by(4, ben(), 12, json!({})),
        comment_by(5, ann(), 18, json!({ "parent": { "id": 4 } })),
        comment_by(6, ann(), 19, json!({ "inline": on("a.rs") })),
        comment_by(7, ben(), 5, json!({ "inline": on("b.rs") })),
        comment_by(8, ann(), 25, json!({ "parent": { "id": 7 } })),
        comment_by(9, ann(), 40, json!({ "content": content("  words 9\n") })),
        comment_by(10, ann(), 41, json!({ "deleted": true, "content": content("") })),
        comment_by(11, ann(), 41, json!({ "pending": true })),
        comment_by(12, ann(), 41, json!({ "pending": true, "inline": on("a.rs") })),
        comment_by(13, ann(), 42, json!({ "resolution": { "type": "comment_resolution" } })),
        comment_by(14, ben(), 42, json!({ "inline": on("c.rs"), "resolution": { "type": "comment_resolution" } })),
        comment_by(15, ann(), 43, json!({ "parent": { "id": 14 } })),
        comment_by(16, ann(), 44, json!({ "content": content("Started.\n\n[//]: # (pullyard:status)") })),
        comment_by(
            17,
            ann(),
            44,
            json!({ "content": content("Done.\r\n\r\n[//]: # (pullyard:job_x)\r\n"), "parent": { "id": 7 } })
        ),
        comment_by(18, deleted_account(), 44, json!({})),
        comment_by(19, Value::Null, 44, json!({ "inline": on("a.rs") })),
        comment_by(20, ann(), 44, json!({ "content": content(" ") })),
        comment_by(21, ann(), 46, json!({ "content": content("/pullyard revise use tabs") })),
        comment_by(22, ann(), 45, json!({ "content": content("> [//]: # (pullyard:status)\n\nNo.") })),
        comment_by(23, ann(), 47, json!({ "inline": on("d.rs"), "deleted": true })),
        comment_by(24, ann(), 48, json!({ "parent": { "id": 23 } })),
    ])
}

#[tokio::test]
async fn each_comment_belongs_to_one_review_of_its_author() {
    let activity = || page(json!([asks(ANN, 30), asks(ANN, 20), asks(BEN, 15), asks(ANN, 10)]));
    let both = json!([participant(ANN, json!("changes_requested")), participant(BEN, json!("changes_requested"))]);
    for (uuid, minute, body, on_lines) in [
        (ANN, 10, "words 1\n\nwords 2", vec![]),
        (BEN, 15, "words 4", vec![(7, None, "b.rs")]),
        // A reply belongs to its own author's review.
        (ANN, 20, "words 3\n\nwords 5", vec![(6, None, "a.rs")]),
        (
            ANN,
            30,
            "words 9\n\n> [//]: # (pullyard:status)\n\nNo.\n\n/pullyard revise use tabs",
            vec![(8, Some(7), "b.rs"), (24, Some(23), "d.rs")],
        ),
    ] {
        let review = id(uuid, minute);
        let played = scripted_client([activity(), page(all_comments()), ok(pull_with_participants(both.clone()))]);
        let found = played.forge.review(REPOSITORY, 7, review).await.unwrap();
        assert_eq!((found.id, found.state), (review, ReviewState::ChangesRequested), "{minute}");
        assert_eq!(found.body, body, "{minute}");
        assert_eq!(found.clone().filter_parts(|_, _| false), found, "{minute}");
        assert_eq!(found.clone().filter_parts(|_, _| true).body, "", "{minute}");
        assert_eq!(found.author.map(|author| author.id), Some(uuid_to_id(uuid)), "{minute}");
        assert_eq!(played.requests(), [ACTIVITY, COMMENTS, PULL], "{minute}");

        let played = scripted_client([activity(), page(all_comments())]);
        let found = played.forge.review_comments(REPOSITORY, 7, review).await.unwrap();
        let actual: Vec<_> =
            found.items.iter().map(|comment| (comment.id, comment.in_reply_to, comment.path.as_str())).collect();
        assert_eq!(actual, on_lines, "{minute}");
        assert!(!found.truncated, "{minute}");
        assert_eq!(played.requests(), [ACTIVITY, COMMENTS], "{minute}");
    }
}

#[tokio::test]
async fn single_comments_are_removed_from_a_review_body() {
    let people = ok(pull_with_participants(json!([participant(ANN, json!("changes_requested"))])));
    let played = scripted_client([page(json!([asks(ANN, 30), asks(ANN, 20)])), page(all_comments()), people]);
    let found = played.forge.review(REPOSITORY, 7, id(ANN, 30)).await.unwrap();
    let remaining =
        found.filter_parts(|comment, text| (comment, text) == (9, "words 9") || (comment, text) == (22, "words 22"));
    assert_eq!(remaining.body, "> [//]: # (pullyard:status)\n\nNo.\n\n/pullyard revise use tabs");
    assert_eq!(remaining.parts.iter().map(|part| part.comment).collect::<Vec<_>>(), [22, 21]);
}

#[tokio::test]
async fn approval_has_no_body_and_no_comments() {
    let activity = || page(json!([approves(ANN, 10)]));
    let played =
        scripted_client([activity(), ok(pull_with_participants(json!([participant(ANN, json!("approved"))])))]);
    let found = played.forge.review(REPOSITORY, 7, id(ANN, 10)).await.unwrap();
    assert_eq!((found.state, found.body.as_str()), (ReviewState::Approved, ""));
    let comments = scripted_client([activity()]).forge.review_comments(REPOSITORY, 7, id(ANN, 10)).await.unwrap();
    assert!(comments.items.is_empty() && !comments.truncated);
}

#[tokio::test]
async fn review_absent_from_complete_activity_is_dismissed() {
    for (activity, state) in [(json!([]), Value::Null), (json!([asks(ANN, 10)]), json!("changes_requested"))] {
        let played =
            scripted_client([page(activity.clone()), ok(pull_with_participants(json!([participant(ANN, state)])))]);
        let found = played.forge.review(REPOSITORY, 7, id(ANN, 11)).await.unwrap();
        assert_eq!((found.id, found.state), (id(ANN, 11), ReviewState::Dismissed));
        assert_eq!(played.requests(), [ACTIVITY, PULL]);
        let error =
            scripted_client([page(activity)]).forge.review_comments(REPOSITORY, 7, id(BEN, 10)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
    }
}

#[tokio::test]
async fn review_not_yet_in_the_activity_is_not_missing() {
    for activity in [json!([]), json!([asks(BEN, 10)]), json!([approves(ANN, 10)])] {
        let people = json!([participant(BEN, Value::Null), participant(ANN, json!("changes_requested"))]);
        let played = scripted_client([page(activity), ok(pull_with_participants(people))]);
        let error = played.forge.review(REPOSITORY, 7, id(ANN, 11)).await.unwrap_err();
        // Not `NotFound`, so the caller retries.
        assert_eq!(error.kind(), ErrorKind::Unknown, "{error:?}");
    }
}

fn ann() -> Actor {
    Actor { id: uuid_to_id(ANN), login: "ann".to_owned(), is_bot: false }
}

fn permission(word: &str, user: Value) -> Value {
    json!({ "type": "repository_permission", "permission": word, "user": user })
}

#[tokio::test]
async fn permission_comes_from_the_repository_list() {
    for (values, expected, role) in [
        (json!([permission("admin", account(ANN))]), Permission::Admin, "admin"),
        (json!([permission("write", account(ANN))]), Permission::Write, "write"),
        (json!([permission("read", account(ANN))]), Permission::Read, "read"),
        (json!([permission("create-everything", account(ANN))]), Permission::None, "create-everything"),
        (json!([permission("read", account(ANN)), permission("write", account(ANN))]), Permission::Write, "write"),
        (json!([permission("admin", account(BEN)), permission("admin", deleted_account())]), Permission::None, "none"),
        (json!([]), Permission::None, "none"),
    ] {
        let mut people = pull_with_participants(json!([participant(ANN, json!("changes_requested"))]));
        people["reviewers"] = json!([account(ANN)]);
        let played = scripted_client([ok(people), page(values)]);
        let access = played.forge.permission(REPOSITORY, 7, &ann()).await.unwrap();
        assert_eq!((access.permission, access.role.as_str()), (expected, role));
        assert_eq!(access.account, Some(uuid_to_id(ANN)));
        let request = "GET /workspaces/acme/permissions/repositories/app\
                     ?q=user.uuid%3D%22%7Baaaaaaaa-1660-40e2-ac86-735082b94b74%7D%22";
        assert_eq!(played.requests(), [PULL, request]);
    }
}

#[tokio::test]
async fn permission_is_the_highest_of_all_pages() {
    let people = || ok(pull_with_participants(json!([participant(ANN, Value::Null)])));
    let (reads, writes) = (json!([permission("read", account(ANN))]), json!([permission("write", account(ANN))]));
    for (first, last) in [(json!([]), &writes), (reads.clone(), &writes), (writes.clone(), &reads)] {
        let played = scripted_client([people(), page_with_next(first.clone()), page(last.clone())]);
        let access = played.forge.permission(REPOSITORY, 7, &ann()).await.unwrap();
        assert_eq!((access.permission, access.role.as_str()), (Permission::Write, "write"), "{first}");
        assert_eq!(played.requests()[2..], ["GET /elsewhere?page=2"]);
    }
    // A list that is too long to read completely never denies the right to write.
    for (first_page, expected) in [(&writes, Some(Permission::Write)), (&reads, None), (&json!([]), None)] {
        let pages =
            std::iter::once(page_with_next(first_page.clone())).chain((0..9).map(|_| page_with_next(json!([]))));
        let played = scripted_client(std::iter::once(people()).chain(pages));
        let access = played.forge.permission(REPOSITORY, 7, &ann()).await;
        assert_eq!(played.requests().len(), 11);
        match (access, expected) {
            (Ok(access), Some(expected)) => assert_eq!(access.permission, expected),
            (Err(error), None) => assert_eq!(error.kind(), ErrorKind::Unknown, "{error:?}"),
            (access, _) => panic!("{first_page}: {access:?}"),
        }
    }
}

#[tokio::test]
async fn reviewer_may_write_when_the_list_is_refused() {
    let (here, elsewhere) = (|| json!([participant(ANN, Value::Null)]), || json!([participant(BEN, Value::Null)]));
    let mut with_the_role = participant(ANN, Value::Null);
    with_the_role["role"] = json!("REVIEWER");
    let is_for_nobody = "This API is not accessible by this authentication mechanism";
    for refused in [
        error_response(403, "You must be an admin."),
        error_response(404, "Not found"),
        error_response(401, is_for_nobody),
    ] {
        for (participants, reviewers, author, expected, role) in [
            (json!([with_the_role]), json!([]), account(BEN), Permission::Write, "reviewer"),
            (elsewhere(), json!([account(ANN)]), account(BEN), Permission::Write, "reviewer"),
            (here(), json!([deleted_account(), account(BEN)]), account(BEN), Permission::Read, "participant"),
            (json!([]), json!([]), account(ANN), Permission::Read, "participant"),
        ] {
            let mut people = pull_with_participants(participants);
            (people["reviewers"], people["author"]) = (reviewers, author);
            let played = scripted_client([ok(people), refused.clone()]);
            let access = played.forge.permission(REPOSITORY, 7, &ann()).await.unwrap();
            assert_eq!((access.permission, access.role.as_str()), (expected, role), "{refused:?}");
            assert_eq!(access.account, Some(uuid_to_id(ANN)));
        }
    }
}

#[tokio::test]
async fn uninvolved_account_has_no_permission() {
    let mut people = pull_with_participants(json!([participant(BEN, Value::Null)]));
    people["author"] = deleted_account();
    let played = scripted_client([ok(people)]);
    let access = played.forge.permission(REPOSITORY, 7, &ann()).await.unwrap();
    assert_eq!((access.permission, access.account, played.requests().len()), (Permission::None, None, 1));
    let absent =
        scripted_client([error_response(404, "no")]).forge.permission(REPOSITORY, 7, &ann()).await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::Missing, "the pull request is missing");
}

#[tokio::test]
async fn permission_request_is_not_retried() {
    let people = || ok(pull_with_participants(json!([participant(ANN, Value::Null)])));
    for (answers, request_count) in [
        (vec![error_response(502, "away")], 1),
        (vec![None], 1),
        (vec![people(), error_response(502, "away")], 2),
        (vec![people(), error_response(429, "Rate limit for this resource has been exceeded")], 2),
        (vec![people(), None], 2),
    ] {
        let played = scripted_client(answers);
        let error = played.forge.permission(REPOSITORY, 7, &ann()).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert_eq!((played.requests().len(), *played.pauses.lock().unwrap()), (request_count, 0), "{error:?}");
    }
    let denied = scripted_client([people(), error_response(401, "Token is invalid")])
        .forge
        .permission(REPOSITORY, 7, &ann())
        .await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
}
