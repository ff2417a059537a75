//! Reviews from a pull request's activity, and the comments that belong to each.

use serde_json::{Value, json};

use super::{ANN, API, REPOSITORY, comment, no, ok, page, play, pull};
use crate::{
    Actor, Error, Meaning, Permission, ReviewState, Time,
    bitbucket::{id_of, review_id},
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

fn nobody() -> Value {
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

fn head(hash: &str, minute: u32) -> Value {
    let source = json!({ "branch": { "name": "pullyard/t-1" }, "commit": { "type": "commit", "hash": hash } });
    json!({ "update": { "state": "OPEN", "date": at(minute), "author": account(ANN), "source": source } })
}

fn participant(uuid: &str, state: Value) -> Value {
    json!({
        "type": "participant", "user": account(uuid), "role": "PARTICIPANT", "approved": state == "approved",
        "state": state, "participated_on": at(59),
    })
}

fn pull_of(participants: Value) -> Value {
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
    deleted["user"] = nobody();
    let mut undated = asks(ANN, 2);
    undated["changes_requested"].as_object_mut().unwrap().remove("date");
    let changed = "changes_requested";
    for (case, activity, participants, expected) in [
        ("asked", json!([asks(ANN, 1)]), json!([now(ANN, changed)]), vec![(ANN, 1, ASKS)]),
        ("withdrawn", json!([asks(ANN, 1)]), json!([silent(ANN)]), vec![(ANN, 1, GONE)]),
        ("withdrawn by one who takes no part any more", json!([asks(ANN, 1)]), json!([]), vec![(ANN, 1, GONE)]),
        (
            "asked twice",
            json!([asks(ANN, 5), asks(ANN, 1)]),
            json!([now(ANN, changed)]),
            vec![(ANN, 1, ASKS), (ANN, 5, ASKS)],
        ),
        (
            "asked twice and withdrawn",
            json!([asks(ANN, 5), asks(ANN, 1)]),
            json!([silent(ANN)]),
            vec![(ANN, 1, GONE), (ANN, 5, GONE)],
        ),
        (
            "asked, then approved",
            json!([approves(ANN, 5), asks(ANN, 1)]),
            json!([now(ANN, "approved")]),
            vec![(ANN, 1, GONE), (ANN, 5, APPROVES)],
        ),
        (
            "approved, then asked",
            json!([asks(ANN, 5), approves(ANN, 1)]),
            json!([now(ANN, changed)]),
            vec![(ANN, 1, GONE), (ANN, 5, ASKS)],
        ),
        ("approval withdrawn", json!([approves(ANN, 1)]), json!([silent(ANN)]), vec![(ANN, 1, GONE)]),
        ("approved without a state", json!([approves(ANN, 1)]), json!([older]), vec![(ANN, 1, APPROVES)]),
        (
            "each speaks for themselves",
            json!([asks(BEN, 3), asks(ANN, 1)]),
            json!([now(BEN, changed), silent(ANN)]),
            vec![(ANN, 1, GONE), (BEN, 3, ASKS)],
        ),
        (
            "an account that was deleted",
            json!([entry("changes_requested", nobody(), 3), asks(ANN, 1)]),
            json!([deleted, now(ANN, changed)]),
            vec![(ANN, 1, ASKS)],
        ),
        (
            "an entry of nobody and one without a date",
            json!([entry("changes_requested", Value::Null, 3), undated, asks(ANN, 1)]),
            json!([now(ANN, changed)]),
            vec![(ANN, 1, ASKS)],
        ),
        (
            "told on two pages, as somebody wrote meanwhile",
            json!([asks(ANN, 5), asks(ANN, 1), asks(ANN, 1)]),
            json!([now(ANN, changed)]),
            vec![(ANN, 1, ASKS), (ANN, 5, ASKS)],
        ),
        (
            "what else happened",
            json!([
                { "comment": comment(1, json!({})) },
                { "update": { "state": "OPEN", "date": at(2), "author": account(ANN) } },
                asks(ANN, 1),
            ]),
            json!([now(ANN, changed)]),
            vec![(ANN, 1, ASKS)],
        ),
        (
            "taken away by a push",
            json!([head("b", 5), asks(ANN, 2), head("a", 1)]),
            json!([silent(ANN)]),
            vec![(ANN, 2, ASKS)],
        ),
        (
            "withdrawn after a change of the title",
            json!([head("a", 5), asks(ANN, 2), head("a", 1)]),
            json!([silent(ANN)]),
            vec![(ANN, 2, GONE)],
        ),
        (
            "withdrawn after the last push",
            json!([asks(ANN, 7), head("b", 5), head("a", 1)]),
            json!([silent(ANN)]),
            vec![(ANN, 7, GONE)],
        ),
        (
            "asked once more after a push, and withdrawn",
            json!([asks(ANN, 7), head("b", 5), asks(ANN, 2), head("a", 1)]),
            json!([silent(ANN)]),
            vec![(ANN, 2, GONE), (ANN, 7, GONE)],
        ),
        (
            "asked twice, and taken away by a push that somebody else asked after",
            json!([asks(BEN, 9), head("b", 8), asks(ANN, 7), asks(ANN, 2), head("a", 1)]),
            json!([silent(ANN), silent(BEN)]),
            vec![(ANN, 2, ASKS), (ANN, 7, ASKS), (BEN, 9, GONE)],
        ),
        (
            "approved, and both taken away by a push",
            json!([head("b", 5), approves(ANN, 3), asks(ANN, 2), head("a", 1)]),
            json!([silent(ANN)]),
            vec![(ANN, 2, GONE), (ANN, 3, GONE)],
        ),
        (
            "approved after a push",
            json!([approves(ANN, 6), head("b", 5), asks(ANN, 2), head("a", 1)]),
            json!([now(ANN, "approved")]),
            vec![(ANN, 2, GONE), (ANN, 6, APPROVES)],
        ),
        (
            "a push whose branch is gone by now",
            json!([{ "update": { "date": at(5), "source": { "commit": null } } }, asks(ANN, 2), head("a", 1)]),
            json!([silent(ANN)]),
            vec![(ANN, 2, GONE)],
        ),
    ] {
        let played = play([page(activity), ok(pull_of(participants))]);
        let found = played.forge.reviews(REPOSITORY, 7).await.unwrap();
        let told: Vec<_> = found
            .found
            .iter()
            .map(|review| {
                (review.id, review.author.as_ref().map(|author| author.id), review.submitted_at, review.state)
            })
            .collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(uuid, minute, state)| (id(uuid, minute), Some(id_of(uuid)), Some(time(minute)), state))
            .collect();
        assert_eq!(told, expected, "{case}");
        assert!(!found.more, "{case}");
        assert_eq!(played.requests(), [ACTIVITY, PULL], "{case}");
        for review in found.found {
            assert_eq!(review.url, "https://bitbucket.org/acme/app/pull-requests/7", "{case}");
            assert_eq!((review.body.as_str(), review.commit, review.updated_at), ("", None, None), "{case}");
        }
    }
}

#[tokio::test]
async fn participants_are_not_read_without_reviews() {
    let played = play([page(json!([{ "update": { "state": "OPEN" } }]))]);
    assert!(played.forge.reviews(REPOSITORY, 7).await.unwrap().found.is_empty());
    assert_eq!(played.requests(), [ACTIVITY]);
    let absent = play([no(404, "no")]).forge.reviews(REPOSITORY, 7).await.unwrap_err();
    assert_eq!(absent.meaning(), Meaning::Missing);
}

fn next(values: Value) -> Option<(u16, Value)> {
    ok(json!({ "values": values, "next": format!("{API}/elsewhere?page=2") }))
}

/// Ten full pages: Ann requests changes on the first and on the last.
fn long_activity() -> impl Iterator<Item = Option<(u16, Value)>> {
    let first = next(json!([asks(ANN, 30)]));
    let last = next(json!([asks(ANN, 10)]));
    std::iter::once(first).chain((0..8).map(|_| next(json!([])))).chain([last])
}

#[tokio::test]
async fn long_activity_is_cut_and_reported_as_partial() {
    let people = ok(pull_of(json!([participant(ANN, json!("changes_requested"))])));
    let played = play(long_activity().chain([people]));
    let found = played.forge.reviews(REPOSITORY, 7).await.unwrap();
    assert_eq!(found.found.iter().map(|review| review.id).collect::<Vec<_>>(), [id(ANN, 10), id(ANN, 30)]);
    assert!(found.more && played.requests().len() == 11);

    // Comments before the older request may belong to a request that was not read.
    for (minute, is_cut) in [(10, true), (30, false)] {
        let played = play(long_activity().chain([page(json!([]))]));
        let found = played.forge.review_comments(REPOSITORY, 7, id(ANN, minute)).await.unwrap();
        assert_eq!((found.found.len(), found.more), (0, is_cut), "{minute}");
    }
    let unread = play(long_activity()).forge.review(REPOSITORY, 7, id(ANN, 1)).await.unwrap_err();
    assert_eq!(unread.meaning(), Meaning::Missing);
}

#[tokio::test]
async fn long_comment_list_is_reported_as_partial() {
    let played = play(std::iter::once(page(json!([asks(ANN, 1)]))).chain((0..10).map(|_| next(json!([])))));
    assert!(played.forge.review_comments(REPOSITORY, 7, id(ANN, 1)).await.unwrap().more);
}

fn said(id: u64, user: Value, minute: u32, fields: Value) -> Value {
    let mut said = comment(id, fields);
    (said["user"], said["created_on"], said["updated_on"]) = (user, json!(at(minute)), json!(at(minute)));
    said
}

/// Ann requests changes at 10, 20 and 30, Ben at 15; each comments before and after.
fn written() -> Value {
    let on = |path: &str| json!({ "path": path, "from": null, "to": 3 });
    let (ann, ben) = (|| account(ANN), || account(BEN));
    let words = |raw: &str| json!({ "type": "rendered", "raw": raw });
    json!([
        said(1, ann(), 1, json!({})),
        said(2, ann(), 10, json!({})),
        said(3, ann(), 12, json!({})),
        said(4, ben(), 12, json!({})),
        said(5, ann(), 18, json!({ "parent": { "id": 4 } })),
        said(6, ann(), 19, json!({ "inline": on("a.rs") })),
        said(7, ben(), 5, json!({ "inline": on("b.rs") })),
        said(8, ann(), 25, json!({ "parent": { "id": 7 } })),
        said(9, ann(), 40, json!({ "content": words("  words 9\n") })),
        said(10, ann(), 41, json!({ "deleted": true, "content": words("") })),
        said(11, ann(), 41, json!({ "pending": true })),
        said(12, ann(), 41, json!({ "pending": true, "inline": on("a.rs") })),
        said(13, ann(), 42, json!({ "resolution": { "type": "comment_resolution" } })),
        said(14, ben(), 42, json!({ "inline": on("c.rs"), "resolution": { "type": "comment_resolution" } })),
        said(15, ann(), 43, json!({ "parent": { "id": 14 } })),
        said(16, ann(), 44, json!({ "content": words("Started.\n\n[//]: # (pullyard:status)") })),
        said(
            17,
            ann(),
            44,
            json!({ "content": words("Done.\r\n\r\n[//]: # (pullyard:job_x)\r\n"), "parent": { "id": 7 } })
        ),
        said(18, nobody(), 44, json!({})),
        said(19, Value::Null, 44, json!({ "inline": on("a.rs") })),
        said(20, ann(), 44, json!({ "content": words(" ") })),
        said(21, ann(), 46, json!({ "content": words("/pullyard revise use tabs") })),
        said(22, ann(), 45, json!({ "content": words("> [//]: # (pullyard:status)\n\nNo.") })),
        said(23, ann(), 47, json!({ "inline": on("d.rs"), "deleted": true })),
        said(24, ann(), 48, json!({ "parent": { "id": 23 } })),
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
        let played = play([activity(), ok(pull_of(both.clone())), page(written())]);
        let found = played.forge.review(REPOSITORY, 7, review).await.unwrap();
        assert_eq!((found.id, found.state), (review, ReviewState::ChangesRequested), "{minute}");
        assert_eq!(found.body, body, "{minute}");
        assert_eq!(found.clone().without(|_, _| false), found, "{minute}");
        assert_eq!(found.clone().without(|_, _| true).body, "", "{minute}");
        assert_eq!(found.author.map(|author| author.id), Some(id_of(uuid)), "{minute}");
        assert_eq!(played.requests(), [ACTIVITY, PULL, COMMENTS], "{minute}");

        let played = play([activity(), page(written())]);
        let found = played.forge.review_comments(REPOSITORY, 7, review).await.unwrap();
        let told: Vec<_> = found.found.iter().map(|one| (one.id, one.in_reply_to, one.path.as_str())).collect();
        assert_eq!(told, on_lines, "{minute}");
        assert!(found.found.iter().all(|one| one.review == Some(review)) && !found.more, "{minute}");
        assert_eq!(played.requests(), [ACTIVITY, COMMENTS], "{minute}");
    }
}

#[tokio::test]
async fn single_comments_are_removed_from_a_review_body() {
    let people = ok(pull_of(json!([participant(ANN, json!("changes_requested"))])));
    let played = play([page(json!([asks(ANN, 30), asks(ANN, 20)])), people, page(written())]);
    let found = played.forge.review(REPOSITORY, 7, id(ANN, 30)).await.unwrap();
    let left = found.without(|comment, text| (comment, text) == (9, "words 9") || (comment, text) == (22, "words 22"));
    assert_eq!(left.body, "> [//]: # (pullyard:status)\n\nNo.\n\n/pullyard revise use tabs");
    assert_eq!(left.parts.iter().map(|part| part.comment).collect::<Vec<_>>(), [22, 21]);
}

#[tokio::test]
async fn approval_has_no_body_and_no_comments() {
    let activity = || page(json!([approves(ANN, 10)]));
    let played = play([activity(), ok(pull_of(json!([participant(ANN, json!("approved"))])))]);
    let found = played.forge.review(REPOSITORY, 7, id(ANN, 10)).await.unwrap();
    assert_eq!((found.state, found.body.as_str()), (ReviewState::Approved, ""));
    let comments = play([activity()]).forge.review_comments(REPOSITORY, 7, id(ANN, 10)).await.unwrap();
    assert!(comments.found.is_empty() && !comments.more);
}

#[tokio::test]
async fn review_absent_from_complete_activity_is_dismissed() {
    for (activity, state) in [(json!([]), Value::Null), (json!([asks(ANN, 10)]), json!("changes_requested"))] {
        let played = play([page(activity.clone()), ok(pull_of(json!([participant(ANN, state)])))]);
        let found = played.forge.review(REPOSITORY, 7, id(ANN, 11)).await.unwrap();
        assert_eq!((found.id, found.state), (id(ANN, 11), ReviewState::Dismissed));
        assert_eq!(played.requests(), [ACTIVITY, PULL]);
        let error = play([page(activity)]).forge.review_comments(REPOSITORY, 7, id(BEN, 10)).await.unwrap_err();
        assert_eq!(error.meaning(), Meaning::Missing, "{error:?}");
    }
}

#[tokio::test]
async fn review_not_yet_in_the_activity_is_not_missing() {
    for activity in [json!([]), json!([asks(BEN, 10)]), json!([approves(ANN, 10)])] {
        let people = json!([participant(BEN, Value::Null), participant(ANN, json!("changes_requested"))]);
        let played = play([page(activity), ok(pull_of(people))]);
        let error = played.forge.review(REPOSITORY, 7, id(ANN, 11)).await.unwrap_err();
        // Not `NotFound`, so the caller retries.
        assert_eq!(error.meaning(), Meaning::Unknown, "{error:?}");
    }
}

fn ann() -> Actor {
    Actor { id: id_of(ANN), login: "ann".to_owned(), is_bot: false }
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
        (json!([permission("admin", account(BEN)), permission("admin", nobody())]), Permission::None, "none"),
        (json!([]), Permission::None, "none"),
    ] {
        let mut people = pull_of(json!([participant(ANN, json!("changes_requested"))]));
        people["reviewers"] = json!([account(ANN)]);
        let played = play([ok(people), page(values)]);
        let access = played.forge.permission(REPOSITORY, 7, &ann()).await.unwrap();
        assert_eq!((access.permission, access.role.as_str()), (expected, role));
        assert_eq!(access.account, Some(id_of(ANN)));
        let asked = "GET /workspaces/acme/permissions/repositories/app\
                     ?q=user.uuid%3D%22%7Baaaaaaaa-1660-40e2-ac86-735082b94b74%7D%22";
        assert_eq!(played.requests(), [PULL, asked]);
    }
}

#[tokio::test]
async fn permission_is_the_highest_of_all_pages() {
    let people = || ok(pull_of(json!([participant(ANN, Value::Null)])));
    let (reads, writes) = (json!([permission("read", account(ANN))]), json!([permission("write", account(ANN))]));
    for (first, last) in [(json!([]), &writes), (reads.clone(), &writes), (writes.clone(), &reads)] {
        let played = play([people(), next(first.clone()), page(last.clone())]);
        let access = played.forge.permission(REPOSITORY, 7, &ann()).await.unwrap();
        assert_eq!((access.permission, access.role.as_str()), (Permission::Write, "write"), "{first}");
        assert_eq!(played.requests()[2..], ["GET /elsewhere?page=2"]);
    }
    // A list that is too long to read completely never denies the right to write.
    for (told, expected) in [(&writes, Some(Permission::Write)), (&reads, None), (&json!([]), None)] {
        let pages = std::iter::once(next(told.clone())).chain((0..9).map(|_| next(json!([]))));
        let played = play(std::iter::once(people()).chain(pages));
        let access = played.forge.permission(REPOSITORY, 7, &ann()).await;
        assert_eq!(played.requests().len(), 11);
        match (access, expected) {
            (Ok(access), Some(expected)) => assert_eq!(access.permission, expected),
            (Err(error), None) => assert_eq!(error.meaning(), Meaning::Unknown, "{error:?}"),
            (access, _) => panic!("{told}: {access:?}"),
        }
    }
}

#[tokio::test]
async fn reviewer_may_write_when_the_list_is_refused() {
    let (here, elsewhere) = (|| json!([participant(ANN, Value::Null)]), || json!([participant(BEN, Value::Null)]));
    let mut with_the_role = participant(ANN, Value::Null);
    with_the_role["role"] = json!("REVIEWER");
    let is_for_nobody = "This API is not accessible by this authentication mechanism";
    for refused in [no(403, "You must be an admin."), no(404, "Not found"), no(401, is_for_nobody)] {
        for (participants, reviewers, author, expected, role) in [
            (json!([with_the_role]), json!([]), account(BEN), Permission::Write, "reviewer"),
            (elsewhere(), json!([account(ANN)]), account(BEN), Permission::Write, "reviewer"),
            (here(), json!([nobody(), account(BEN)]), account(BEN), Permission::Read, "participant"),
            (json!([]), json!([]), account(ANN), Permission::Read, "participant"),
        ] {
            let mut people = pull_of(participants);
            (people["reviewers"], people["author"]) = (reviewers, author);
            let played = play([ok(people), refused.clone()]);
            let access = played.forge.permission(REPOSITORY, 7, &ann()).await.unwrap();
            assert_eq!((access.permission, access.role.as_str()), (expected, role), "{refused:?}");
            assert_eq!(access.account, Some(id_of(ANN)));
        }
    }
}

#[tokio::test]
async fn permission_of_an_uninvolved_account_is_missing() {
    let mut people = pull_of(json!([participant(BEN, Value::Null)]));
    people["author"] = nobody();
    let played = play([ok(people)]);
    let absent = played.forge.permission(REPOSITORY, 7, &ann()).await.unwrap_err();
    assert_eq!((absent.meaning(), played.requests().len()), (Meaning::Missing, 1));
    let absent = play([no(404, "no")]).forge.permission(REPOSITORY, 7, &ann()).await.unwrap_err();
    assert_eq!(absent.meaning(), Meaning::Missing);
}

#[tokio::test]
async fn permission_request_is_not_retried() {
    let people = || ok(pull_of(json!([participant(ANN, Value::Null)])));
    for (answers, asked) in [
        (vec![no(502, "away")], 1),
        (vec![None], 1),
        (vec![people(), no(502, "away")], 2),
        (vec![people(), no(429, "Rate limit for this resource has been exceeded")], 2),
        (vec![people(), None], 2),
    ] {
        let played = play(answers);
        let error = played.forge.permission(REPOSITORY, 7, &ann()).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert_eq!((played.requests().len(), *played.pauses.lock().unwrap()), (asked, 0), "{error:?}");
    }
    let denied = play([people(), no(401, "Token is invalid")]).forge.permission(REPOSITORY, 7, &ann()).await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
}
