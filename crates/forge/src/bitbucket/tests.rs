//! Requests to Bitbucket and the meaning of its responses.

mod hooks;
mod new_review;
mod reviews;
mod threads;

use std::sync::{Arc, Mutex};

use pullyard_domain::review::pull_request::MergeMethod;
use serde_json::{Value, json};

use super::{Bitbucket, id::uuid_to_id};
use crate::{
    BaseRepository, CommitState, CommitStatus, Connections, Endpoint, Error, ErrorKind, Exchange, ExchangeResult,
    Forge, NewPullRequest, PullRequestState, Token,
};

const API: &str = "http://bitbucket.simulated/2.0";
const TIME: &str = "2026-11-20T12:04:01.123456+00:00";
const REPOSITORY: &str = "acme/app";
const HASH: &str = "0123456789abcdef0123456789abcdef01234567";
const HERE: &str = "{1fef5fec-1660-40e2-ac86-735082b94b74}";
const ANN: &str = "{aaaaaaaa-1660-40e2-ac86-735082b94b74}";

struct ScriptedForge {
    forge: Forge,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    pauses: Arc<Mutex<usize>>,
}

impl ScriptedForge {
    fn requests(&self) -> Vec<String> {
        let exchanges = self.exchanges.lock().unwrap();
        let below = |exchange: &Exchange| exchange.url.strip_prefix(API).unwrap().to_owned();
        exchanges.iter().map(|exchange| format!("{} {}", exchange.method, below(exchange))).collect()
    }

    fn bodies(&self) -> Vec<Value> {
        let exchanges = self.exchanges.lock().unwrap();
        exchanges.iter().map(|exchange| serde_json::from_slice(&exchange.body).unwrap()).collect()
    }

    fn last_body(&self) -> Value {
        serde_json::from_slice(&self.exchanges.lock().unwrap().last().unwrap().body).unwrap()
    }
}

/// Answers one request each; `None` breaks the connection.
fn scripted_client(answers: impl IntoIterator<Item = Option<(u16, Value)>>) -> ScriptedForge {
    scripted_with_token("ATCTT3x", answers)
}

fn scripted_with_token(token: &str, answers: impl IntoIterator<Item = Option<(u16, Value)>>) -> ScriptedForge {
    let encode = |answer: Option<(u16, Value)>| answer.map(|(status, body)| (status, body.to_string().into_bytes()));
    let answers: Vec<ExchangeResult> = answers.into_iter().map(encode).collect();
    let (answers, exchanges, pauses) = (Mutex::new(answers), Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
    let (notes, waits) = (exchanges.clone(), pauses.clone());
    let connections = Connections::with_stand_in(
        move |exchange| {
            notes.lock().unwrap().push(exchange);
            let answer = answers.lock().unwrap().remove(0);
            Box::pin(std::future::ready(answer))
        },
        move |_| {
            *waits.lock().unwrap() += 1;
            Box::pin(std::future::ready(()))
        },
    );
    let endpoint = Endpoint { api_url: API.into(), connections };
    let forge = Forge::Bitbucket(Bitbucket::new(endpoint, Token::new(token)).unwrap());
    ScriptedForge { forge, exchanges, pauses }
}

fn ok(body: Value) -> Option<(u16, Value)> {
    Some((200, body))
}

fn error_response(status: u16, message: &str) -> Option<(u16, Value)> {
    Some((status, json!({ "type": "error", "error": { "message": message } })))
}

fn page(values: Value) -> Option<(u16, Value)> {
    ok(json!({ "pagelen": 50, "page": 1, "values": values }))
}

fn ann() -> Value {
    json!({ "type": "user", "uuid": ANN, "nickname": "ann", "display_name": "Ann A.", "account_id": "5:1" })
}

fn repository() -> Value {
    json!({
        "type": "repository", "uuid": HERE, "full_name": REPOSITORY, "is_private": true,
        "mainbranch": { "type": "branch", "name": "main" },
        "links": {
            "html": { "href": "https://bitbucket.org/acme/app" },
            "clone": [
                { "name": "https", "href": "https://ann@bitbucket.org/acme/app.git" },
                { "name": "ssh", "href": "git@bitbucket.org:acme/app.git" },
            ],
        },
    })
}

fn pull(id: u64, state: &str) -> Value {
    let here = json!({ "type": "repository", "uuid": HERE, "full_name": REPOSITORY });
    json!({
        "type": "pullrequest", "id": id, "title": "T", "description": "What and why.", "state": state, "draft": true,
        "author": ann(), "created_on": TIME, "updated_on": TIME, "close_source_branch": true,
        "source": { "branch": { "name": "job" }, "commit": { "hash": &HASH[..12] }, "repository": here },
        "destination": { "branch": { "name": "main" }, "commit": { "hash": "ba9876543210" }, "repository": here },
        "links": { "html": { "href": format!("https://bitbucket.org/acme/app/pull-requests/{id}") } },
        "reviewers": [ann()],
    })
}

fn comment(id: u64, fields: Value) -> Value {
    let mut comment = json!({
        "type": "pullrequest_comment", "id": id, "created_on": TIME, "updated_on": TIME, "user": ann(),
        "content": { "type": "rendered", "raw": format!("words {id}"), "markup": "markdown", "html": "" },
        "deleted": false, "pending": false,
        "links": { "html": { "href": format!("https://bitbucket.org/acme/app/pull-requests/7/_/diff#comment-{id}") } },
    });
    for (name, value) in fields.as_object().unwrap() {
        comment[name] = value.clone();
    }
    comment
}

fn new_pull_request() -> NewPullRequest {
    NewPullRequest {
        title: "T".to_owned(),
        body: "What and why.".to_owned(),
        head: "job".to_owned(),
        base: "main".to_owned(),
        draft: false,
    }
}

#[tokio::test]
async fn account_errors_name_the_missing_scope_or_token_form() {
    let refused =
        async |status, message| scripted_client([error_response(status, message)]).forge.account().await.unwrap_err();
    let scopes = "Your credentials lack one or more required privilege scopes.";
    let somebodys =
        scripted_with_token("ann@acme.example:ATATT3x", [error_response(403, scopes)]).forge.account().await;
    let lacks = somebodys.unwrap_err();
    // `Forbidden` would mean a valid access token.
    assert!(matches!(lacks, Error::Denied { .. }), "{lacks:?}");
    assert!(matches!(refused(403, scopes).await, Error::Forbidden { .. }));
    assert!(format!("{lacks}").contains("needs the scope read:user:bitbucket"), "{lacks}");
    // Each scope once, where Bitbucket's own message names it.
    let detail = json!({ "required": ["read:user:bitbucket"], "granted": ["read:repository:bitbucket"] });
    let answer = Some((403, json!({ "error": { "message": scopes, "detail": detail } })));
    let lacks = scripted_with_token("ann@acme.example:ATATT3x", [answer]).forge.account().await.unwrap_err();
    assert_eq!(format!("{lacks}").matches("read:user:bitbucket").count(), 1, "{lacks}");
    let unknown = refused(401, "Token is invalid, expired, or not supported for this endpoint.").await;
    assert!(matches!(unknown, Error::Denied { .. }), "{unknown:?}");
    assert!(format!("{unknown}").contains("is written E-MAIL:API-TOKEN"), "{unknown}");
    // Bitbucket's message to a valid access token.
    for status in [403, 401] {
        let untold = refused(status, "This API is not accessible by this authentication mechanism").await;
        assert!(matches!(untold, Error::Forbidden { .. }) && !format!("{untold}").contains("E-MAIL"), "{untold:?}");
    }
    let nobody = scripted_client([ok(json!({ "type": "user", "display_name": "Former user" }))]).forge.account().await;
    assert!(matches!(nobody, Err(Error::Unexpected { .. })), "{nobody:?}");
}

#[tokio::test]
async fn foreign_body_is_no_decision_of_bitbucket() {
    for foreign in [json!(""), json!("Forbidden"), json!({ "message": "Not Found" }), json!({ "error": "Not Found" })] {
        let answer = |status| Some((status, foreign.clone()));
        for status in [400, 403, 404, 408, 409, 410, 422] {
            let played = scripted_client([answer(status), ok(repository())]);
            assert!(played.forge.repository(REPOSITORY).await.is_ok(), "{status} {foreign}");
        }
        // Bitbucket's own answer to an unknown login has no form.
        let denied = scripted_client([answer(401)]).forge.repository(REPOSITORY).await;
        assert!(matches!(denied, Err(Error::Denied { .. })), "{foreign}: {denied:?}");
    }
}

#[tokio::test]
async fn repository_clone_url_has_no_user() {
    let played = scripted_client([ok(repository())]);
    let found = played.forge.repository(REPOSITORY).await.unwrap();
    assert_eq!((found.id, found.full_name.as_str()), (uuid_to_id(HERE), REPOSITORY));
    assert_eq!(found.clone_url, "https://bitbucket.org/acme/app.git");
    assert_eq!(found.default_branch, "main");
    assert_eq!(played.requests(), ["GET /repositories/acme/app"]);
}

#[tokio::test]
async fn repository_without_main_branch_or_https_url_is_an_error() {
    let mut empty = repository();
    empty["mainbranch"] = Value::Null;
    let error = scripted_client([ok(empty)]).forge.repository(REPOSITORY).await.unwrap_err();
    assert_eq!(error.to_string(), "find the main branch of acme/app");
    let mut closed = repository();
    closed["links"]["clone"] = json!([]);
    let error = scripted_client([ok(closed)]).forge.repository(REPOSITORY).await.unwrap_err();
    assert!(error.to_string().ends_with("the repository can't be cloned by HTTPS"), "{error}");
}

#[tokio::test]
async fn open_pull_request_is_the_newest_not_from_a_fork() {
    let mut fork = pull(9, "OPEN");
    fork["source"]["repository"]["uuid"] = json!("{ffffffff-1660-40e2-ac86-735082b94b74}");
    let mut orphan = pull(8, "OPEN");
    orphan["source"]["repository"] = Value::Null;
    let mut other = pull(7, "OPEN");
    other["source"]["branch"]["name"] = json!("job-2");
    let played = scripted_client([page(json!([fork, orphan, other, pull(3, "OPEN"), pull(5, "OPEN")]))]);
    let found = played.forge.open_pull_request(REPOSITORY, "job").await.unwrap().unwrap();
    assert_eq!((found.number, found.head_branch.as_str(), found.base_branch.as_str()), (5, "job", "main"));
    assert_eq!(found.url, "https://bitbucket.org/acme/app/pull-requests/5");
    assert_eq!(found.head_repository, Some(uuid_to_id(HERE)));
    let base = BaseRepository { id: uuid_to_id(HERE), full_name: Some(REPOSITORY.to_owned()) };
    assert_eq!((found.base_repository, found.draft), (Some(base), true));
    assert_eq!(
        played.requests(),
        ["GET /repositories/acme/app/pullrequests?q=source.branch.name%3D%22job%22+AND+state%3D%22OPEN%22\
          &sort=-updated_on&pagelen=50"]
    );
    let played = scripted_client([page(json!([]))]);
    assert_eq!(played.forge.open_pull_request(REPOSITORY, r#"a"b"#).await, Ok(None));
    assert!(played.requests()[0].contains("name%3D%22a%5C%22b%22+AND"), "{:?}", played.requests());
}

#[tokio::test]
async fn creating_a_pull_request_sends_text_and_branches() {
    let played = scripted_client([page(json!([])), Some((201, pull(7, "OPEN")))]);
    let created = played.forge.find_or_create_pull_request(REPOSITORY, &new_pull_request()).await.unwrap();
    assert_eq!((created.number, created.state), (7, PullRequestState::Open));
    assert_eq!(played.requests()[1], "POST /repositories/acme/app/pullrequests");
    assert_eq!(
        played.last_body(),
        json!({
            "title": "T", "description": "What and why.", "draft": false,
            "source": { "branch": { "name": "job" } }, "destination": { "branch": { "name": "main" } },
        })
    );
}

#[tokio::test]
async fn pull_request_is_found_after_a_lost_response() {
    let played = scripted_client([page(json!([])), None, page(json!([pull(7, "OPEN")]))]);
    let found = played.forge.find_or_create_pull_request(REPOSITORY, &new_pull_request()).await.unwrap();
    assert_eq!((found.number, played.requests().len(), *played.pauses.lock().unwrap()), (7, 3, 1));
}

#[tokio::test]
async fn refused_creation_returns_the_existing_pull_request() {
    let refused = || error_response(400, "There are no changes to be pulled");
    let played = scripted_client([page(json!([])), refused(), page(json!([pull(7, "OPEN")]))]);
    assert_eq!(played.forge.find_or_create_pull_request(REPOSITORY, &new_pull_request()).await.unwrap().number, 7);
    let played = scripted_client([page(json!([])), refused(), page(json!([]))]);
    let error = played.forge.find_or_create_pull_request(REPOSITORY, &new_pull_request()).await.unwrap_err();
    assert_eq!(error, Error::Refused { reason: "there are no changes to be pulled".to_owned() });
}

#[tokio::test]
async fn unseen_source_branch_is_retried() {
    let fields = json!({ "source": ["branch not found: job"] });
    let error = json!({ "message": "source: branch not found: job", "fields": fields });
    let unseen = Some((400, json!({ "type": "error", "error": error })));
    let played = scripted_client([page(json!([])), unseen, page(json!([])), Some((201, pull(7, "OPEN")))]);
    assert_eq!(played.forge.find_or_create_pull_request(REPOSITORY, &new_pull_request()).await.unwrap().number, 7);
}

#[tokio::test]
async fn bitbucket_states_map_to_open_closed_or_merged() {
    for (state, expected) in [
        ("OPEN", PullRequestState::Open),
        ("MERGED", PullRequestState::Merged),
        ("DECLINED", PullRequestState::Closed),
        ("SUPERSEDED", PullRequestState::Closed),
    ] {
        let played = scripted_client([ok(pull(7, state)), ok(json!({ "hash": HASH }))]);
        let found = played.forge.pull_request(REPOSITORY, 7).await.unwrap();
        assert_eq!((found.state, found.head_sha.as_str()), (expected, HASH), "{state}");
        let requests = ["GET /repositories/acme/app/pullrequests/7", "GET /repositories/acme/app/commit/0123456789ab"];
        assert_eq!(played.requests(), requests);
    }
}

#[tokio::test]
async fn unknown_head_commit_keeps_its_short_hash() {
    for answer in [error_response(404, "Commit not found"), ok(json!({ "hash": "f".repeat(40) }))] {
        let found = scripted_client([ok(pull(7, "OPEN")), answer]).forge.pull_request(REPOSITORY, 7).await.unwrap();
        assert_eq!(found.head_sha, HASH[..12]);
    }
    let mut declined = pull(7, "DECLINED");
    declined["source"]["commit"] = Value::Null;
    let found = scripted_client([ok(declined)]).forge.pull_request(REPOSITORY, 7).await.unwrap();
    assert_eq!(found.head_sha, "");
}

/// No fake forge squashes.
#[tokio::test]
async fn merge_sends_the_strategy_of_its_method() {
    for (method, body) in [
        (None, json!({})),
        (Some(MergeMethod::Merge), json!({ "merge_strategy": "merge_commit" })),
        (Some(MergeMethod::Squash), json!({ "merge_strategy": "squash" })),
        (Some(MergeMethod::Rebase), json!({ "merge_strategy": "rebase_fast_forward" })),
    ] {
        let played = scripted_client([ok(pull(7, "OPEN")), ok(json!({ "hash": HASH })), ok(pull(7, "MERGED"))]);
        played.forge.merge(REPOSITORY, 7, HASH, method).await.unwrap();
        assert_eq!(played.requests()[2], "POST /repositories/acme/app/pullrequests/7/merge");
        assert_eq!(played.last_body(), body);
    }
}

#[tokio::test]
async fn editing_text_preserves_title_reviewers_and_flags() {
    let played = scripted_client([ok(pull(7, "OPEN"))]);
    assert_eq!(played.forge.pull_request_text(REPOSITORY, 7).await.unwrap(), "What and why.");
    let mut summed = pull(7, "OPEN");
    summed["description"] = Value::Null;
    summed["summary"] = json!({ "raw": "Summed." });
    assert_eq!(scripted_client([ok(summed)]).forge.pull_request_text(REPOSITORY, 7).await.unwrap(), "Summed.");

    let played = scripted_client([ok(pull(7, "OPEN")), ok(pull(7, "OPEN"))]);
    played.forge.edit_pull_request_text(REPOSITORY, 7, "New.").await.unwrap();
    assert_eq!(played.requests()[1], "PUT /repositories/acme/app/pullrequests/7");
    assert_eq!(
        played.last_body(),
        json!({
            "title": "T", "description": "New.", "reviewers": [{ "uuid": ANN }], "close_source_branch": true,
            "draft": true,
        })
    );
    let played = scripted_client([ok(pull(7, "OPEN")), None]);
    assert!(played.forge.edit_pull_request_text(REPOSITORY, 7, "New.").await.unwrap_err().is_transient());
    assert_eq!(played.requests().len(), 2);
}

#[tokio::test]
async fn refused_reviewer_is_left_out_of_an_edit() {
    const BEN: &str = "{bbbbbbbb-1660-40e2-ac86-735082b94b74}";
    let mut reviewed = pull(7, "OPEN");
    reviewed["reviewers"] = json!([{ "uuid": ANN }, { "uuid": BEN }]);
    for message in ["reviewers: Malformed reviewers list", "reviewers: Ben is not a member of this workspace"] {
        let refused = || error_response(400, message);
        let played = scripted_client([ok(reviewed.clone()), refused(), refused(), ok(pull(7, "OPEN"))]);
        played.forge.edit_pull_request_text(REPOSITORY, 7, "New.").await.unwrap();
        assert_eq!(played.last_body()["reviewers"], json!([{ "uuid": ANN }]));
        assert_eq!(played.last_body()["description"], "New.");
        let played = scripted_client([ok(reviewed.clone()), refused(), refused(), refused()]);
        let error = played.forge.edit_pull_request_text(REPOSITORY, 7, "New.").await.unwrap_err();
        assert_eq!((error.kind(), played.requests().len()), (ErrorKind::Refused, 4));
    }
    let played = scripted_client([ok(reviewed), error_response(400, "description: too long")]);
    assert!(played.forge.edit_pull_request_text(REPOSITORY, 7, "New.").await.is_err());
    assert_eq!(played.requests().len(), 2);
}

#[tokio::test]
async fn pull_requests_of_all_states_are_paged() {
    let next = format!("{API}/repositories/acme/app/pullrequests?page=3");
    let played = scripted_client([ok(json!({ "values": [pull(7, "OPEN")], "next": next })), page(json!([]))]);
    let listed = played.forge.pull_requests(REPOSITORY, 2).await.unwrap();
    assert_eq!((listed.items.len(), listed.next), (1, Some(3)));
    assert_eq!(played.forge.pull_requests(REPOSITORY, 0).await.unwrap().next, None);
    let address = "GET /repositories/acme/app/pullrequests?state=OPEN&state=MERGED&state=DECLINED&state=SUPERSEDED\
                   &sort=-updated_on&pagelen=50&page=";
    assert_eq!(played.requests(), [format!("{address}2"), format!("{address}1")]);
}

/// A thread of three with a nested reply, a resolved thread, and a comment below the pull request.
fn conversation() -> Value {
    json!([
        comment(1, json!({ "inline": { "path": "a.rs", "from": null, "to": 9, "start_to": 7 } })),
        comment(2, json!({ "parent": { "id": 1 } })),
        comment(3, json!({ "parent": { "id": 2 } })),
        comment(4, json!({ "inline": { "path": "b.rs", "from": 5, "to": null }, "resolution": { "type": "r" } })),
        comment(5, json!({ "inline": { "path": "c.rs", "to": 3, "outdated": true } })),
        comment(6, json!({ "inline": { "path": "d.rs" } })),
        comment(7, json!({})),
        comment(8, json!({ "parent": { "id": 7 } })),
        comment(9, json!({ "deleted": true, "content": { "raw": "" } })),
        comment(10, json!({ "pending": true, "inline": { "path": "a.rs", "to": 1 } })),
    ])
}

#[tokio::test]
async fn issue_comments_exclude_line_comments() {
    let played = scripted_client([page(conversation())]);
    let found = played.forge.issue_comments(REPOSITORY, 7).await.unwrap().items;
    assert_eq!(played.requests(), ["GET /repositories/acme/app/pullrequests/7/comments?pagelen=100"]);
    assert_eq!(found.iter().map(|comment| comment.id).collect::<Vec<_>>(), [7, 8]);
    let author = found[0].author.as_ref().map(|author| author.id);
    assert_eq!((found[0].body.as_str(), author), ("words 7", Some(uuid_to_id(ANN))));

    let played = scripted_client([
        Some((201, comment(12, json!({})))),
        ok(comment(12, json!({}))),
        ok(comment(12, json!({ "deleted": true }))),
    ]);
    assert_eq!(played.forge.create_comment(REPOSITORY, 7, "Hello.").await.unwrap().id, 12);
    assert_eq!(played.last_body(), json!({ "content": { "raw": "Hello." } }));
    assert_eq!(played.forge.edit_comment(REPOSITORY, 7, 12, "Bye.").await.unwrap().id, 12);
    let deleted = played.forge.edit_comment(REPOSITORY, 7, 12, "Bye.").await.unwrap_err();
    assert_eq!(deleted.kind(), ErrorKind::Missing);
    let comments = "/repositories/acme/app/pullrequests/7/comments";
    assert_eq!(played.requests()[..2], [format!("POST {comments}"), format!("PUT {comments}/12")]);
}

#[tokio::test]
async fn reply_to_a_deleted_line_comment_is_no_issue_comment() {
    let inline = json!({ "path": "a.rs", "to": 9 });
    let deleted = comment(1, json!({ "deleted": true, "inline": inline }));
    let untold = comment(3, json!({ "parent": { "id": 99 } }));
    let all = json!([deleted, comment(2, json!({ "parent": { "id": 1 } })), untold]);
    let found = scripted_client([page(all)]).forge.issue_comments(REPOSITORY, 7).await.unwrap().items;
    assert_eq!(found.iter().map(|comment| comment.id).collect::<Vec<_>>(), [3]);
}

#[tokio::test]
async fn circular_issue_comments_are_listed() {
    let answers = |id: u64, other: u64| comment(id, json!({ "parent": { "id": other } }));
    let played = scripted_client([page(json!([answers(1, 2), answers(2, 1), answers(3, 3)]))]);
    assert_eq!(played.forge.issue_comments(REPOSITORY, 7).await.unwrap().items.len(), 3);
}

#[tokio::test]
async fn comment_creation_is_not_retried() {
    let played = scripted_client([error_response(502, "away")]);
    assert!(played.forge.create_comment(REPOSITORY, 7, "Hello.").await.unwrap_err().is_transient());
    assert_eq!(played.requests().len(), 1);
}

#[tokio::test]
async fn next_page_on_another_host_is_rejected() {
    let next = |host: &str| format!("http://{host}/2.0/elsewhere?page=2");
    let first = |host: &str| ok(json!({ "values": [comment(1, json!({}))], "next": next(host) }));
    let played = scripted_client([first("bitbucket.simulated"), page(json!([comment(2, json!({}))]))]);
    let found = played.forge.issue_comments(REPOSITORY, 7).await.unwrap();
    assert_eq!((found.items.len(), found.truncated), (2, false));
    assert_eq!(played.requests()[1], "GET /elsewhere?page=2");
    for host in ["elsewhere.simulated", "bitbucket.simulated:81", "x@bitbucket.simulated", ":p@bitbucket.simulated"] {
        let played = scripted_client([first(host)]);
        let error = played.forge.issue_comments(REPOSITORY, 7).await.unwrap_err();
        assert!(error.to_string().ends_with("its next page is on another host"), "{error}");
        assert_eq!(played.requests().len(), 1);
    }
    let played = scripted_client((0..10).map(|_| first("bitbucket.simulated")));
    let found = played.forge.issue_comments(REPOSITORY, 7).await.unwrap();
    assert_eq!((found.items.len(), found.truncated), (10, true));
}

#[tokio::test]
async fn status_is_sent_with_key_and_url_and_retried() {
    for (state, word) in [
        (CommitState::Pending, "INPROGRESS"),
        (CommitState::Success, "SUCCESSFUL"),
        (CommitState::Failure, "FAILED"),
        (CommitState::Error, "STOPPED"),
    ] {
        let status = CommitStatus {
            state,
            context: "pullyard".to_owned(),
            description: "Revised as asked.".to_owned(),
            target_url: None,
            branch: Some("job".to_owned()),
        };
        let played = scripted_client([error_response(503, "away"), Some((201, json!({ "type": "build" })))]);
        played.forge.set_status(REPOSITORY, HASH, &status).await.unwrap();
        assert_eq!(
            played.last_body(),
            json!({
                "key": "pullyard", "name": "pullyard", "state": word, "description": "Revised as asked.",
                "url": format!("https://bitbucket.org/acme/app/commits/{HASH}"), "refname": "job",
            })
        );
        let request = format!("POST /repositories/acme/app/commit/{HASH}/statuses/build");
        assert_eq!(played.requests(), [request.clone(), request]);
        let elsewhere = scripted_client([]).forge.set_status(REPOSITORY, "../x", &status).await.unwrap_err();
        assert_eq!(elsewhere.kind(), ErrorKind::Missing);
    }
}

#[tokio::test]
async fn each_error_status_has_its_meaning() {
    for (status, meaning) in [
        (400, ErrorKind::Refused),
        (401, ErrorKind::Denied),
        (403, ErrorKind::Denied),
        (404, ErrorKind::Missing),
        (409, ErrorKind::Refused),
        (410, ErrorKind::Missing),
        (500, ErrorKind::Unavailable),
        (405, ErrorKind::Unknown),
    ] {
        let error = scripted_client([error_response(status, "No.")])
            .forge
            .create_comment(REPOSITORY, 7, "x")
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (meaning, status == 500), "{status}: {error:?}");
    }
    let limited = scripted_client([error_response(429, "Rate limit for this resource has been exceeded")]);
    let error = limited.forge.create_comment(REPOSITORY, 7, "x").await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }), "{error:?}");
    for echoed in [error_response(400, "who is ATCTT3x?"), error_response(403, "who is ATCTT3x?")] {
        let error = scripted_client([echoed]).forge.create_comment(REPOSITORY, 7, "x").await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("ATCTT3x"), "{error:?}");
    }
}

#[tokio::test]
async fn requesting_reviewers_sends_nothing() {
    let played = scripted_client([]);
    played.forge.request_reviewers(REPOSITORY, 7, &["ann"]).await.unwrap();
    assert!(played.requests().is_empty());
}

#[test]
fn invalid_settings_are_rejected() {
    let new = |api_url: &str, token: &str| Bitbucket::new(Endpoint::new(api_url), Token::new(token));
    for (address, token) in
        [("ftp://bitbucket.example", "t"), ("https://u:p@bitbucket.example", "t"), (API, "a b"), (API, ":t")]
    {
        let error = new(address, token).unwrap_err();
        assert!(matches!(error, Error::Settings { .. }), "{address}: {error:?}");
    }
    let client =
        Bitbucket::new(Endpoint::new("https://api.bitbucket.org/2.0"), Token::new("ann@acme.example:ATATT3x")).unwrap();
    assert!(!format!("{client:?}").contains("ATATT3x"));
}

#[tokio::test]
async fn open_pull_requests_are_listed_and_issues_are_not() {
    let pull = json!({
        "id": 7, "title": "Greet", "description": "Please.", "draft": true, "created_on": TIME, "updated_on": TIME,
        "author": { "uuid": ANN, "nickname": "ann", "type": "user" },
        "source": { "branch": { "name": "feature" }, "commit": { "hash": "0123456789ab" } },
        "state": "OPEN", "destination": { "branch": { "name": "main" } },
        "links": { "html": { "href": "https://bitbucket.org/acme/app/pull-requests/7" } },
    });
    let scripted = scripted_client([Some((200, json!({ "values": [pull] })))]);
    let listed = scripted.forge.open_pulls(REPOSITORY).await.unwrap();
    let item = &listed.items[0];
    assert_eq!((item.number, item.text.as_str(), item.draft, item.reactions), (7, "Please.", true, 0));
    assert_eq!((item.head.as_deref(), item.url.ends_with("/7")), (Some("0123456789ab"), true));
    assert!(item.author.is_some());
    let path = "GET /repositories/acme/app/pullrequests?state=OPEN&sort=-updated_on&pagelen=50";
    assert_eq!(scripted.requests(), [path]);
    let issues = scripted.forge.open_issues(REPOSITORY).await.unwrap_err();
    assert!(matches!(issues, Error::Unsupported { .. }), "{issues:?}");
}
