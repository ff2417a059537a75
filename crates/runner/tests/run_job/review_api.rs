//! A scripted review API of a forge: it stores comments, and refuses or loses answers on request.

use crate::api::broken;
use crate::prelude::*;
use axum::extract::Path;
use axum::routing::{get, post};
use std::sync::MutexGuard;

/// A comment: its id, the id of its thread's first comment, and its text.
pub(crate) type Comment = (u64, u64, String);

pub(crate) struct ReviewState {
    pub(crate) branch: String,
    pub(crate) base: String,
    pub(crate) head_repository: Value,
    pub(crate) closed: bool,
    pub(crate) merged: bool,
    pub(crate) comments: Vec<Comment>,
    pub(crate) hidden_threads: Vec<u64>,
    pub(crate) requested_reviewers: Vec<String>,
    pub(crate) refused_reviewers: Vec<String>,
    /// How many replies are stored although their answers are lost.
    pub(crate) lost_answers: u32,
    pub(crate) faults: Vec<Value>,
    /// How many further replies get an error of the server.
    pub(crate) broken_replies: u32,
    pub(crate) has_next_page: bool,
}

#[derive(Clone)]
pub(crate) struct ReviewApi {
    pub(crate) url: String,
    state: Arc<Mutex<ReviewState>>,
}

impl ReviewApi {
    pub(crate) async fn start(branch: &str, comments: Vec<Comment>) -> Self {
        let state = Arc::new(Mutex::new(ReviewState {
            branch: branch.into(),
            base: "main".into(),
            head_repository: json!({ "id": 9 }),
            closed: false,
            merged: false,
            comments,
            hidden_threads: Vec::new(),
            requested_reviewers: Vec::new(),
            refused_reviewers: Vec::new(),
            lost_answers: 0,
            faults: Vec::new(),
            broken_replies: 0,
            has_next_page: false,
        }));
        let routes = Router::new()
            .route("/repos/acme/app", get(repository))
            .route("/repos/acme/app/pulls/{number}", get(pull_request))
            .route("/repos/acme/app/pulls/{number}/comments", get(comments_of))
            .route("/repos/acme/app/pulls/{number}/requested_reviewers", post(request_reviewers))
            .route("/graphql", post(graphql))
            .with_state(state.clone());
        let url = serve(routes).await;
        Self { url, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, ReviewState> {
        self.state.lock().unwrap()
    }

    pub(crate) fn replies(&self, thread: u64) -> Vec<String> {
        let desk = self.state();
        let of = desk.comments.iter().filter(|(id, first, _)| *first == thread && id != first);
        of.map(|(.., text)| text.clone()).collect()
    }
}

type SharedState = State<Arc<Mutex<ReviewState>>>;

async fn repository() -> Json<Value> {
    Json(json!({
        "id": 9, "full_name": "acme/app", "default_branch": "main", "clone_url": "https://x.test/a.git",
        "html_url": "https://x.test/a", "private": false,
    }))
}

async fn pull_request(State(desk): SharedState, Path(number): Path<u64>) -> Json<Value> {
    let desk = desk.lock().unwrap();
    let closed = desk.closed || desk.merged;
    Json(json!({
        "number": number, "html_url": format!("https://x.test/acme/app/pull/{number}"), "title": "T",
        "state": if closed { "closed" } else { "open" }, "draft": false, "user": null,
        "updated_at": "2026-11-20T12:00:00Z", "merged_at": desk.merged.then_some("2026-11-20T12:00:00Z"),
        "head": { "ref": desk.branch, "sha": "a".repeat(40), "repo": desk.head_repository },
        "base": { "ref": desk.base, "sha": "a".repeat(40), "repo": { "id": 9 } },
    }))
}

async fn comments_of(State(desk): SharedState) -> Response {
    let desk = desk.lock().unwrap();
    let comments = desk.comments.iter().map(|(id, thread, text)| {
        json!({
            "id": id, "pull_request_review_id": 80, "in_reply_to_id": (id != thread).then_some(thread),
            "path": "a.rs", "line": null, "original_line": 12, "side": "LEFT", "user": null, "body": text,
            "created_at": "2026-11-20T12:00:00Z", "updated_at": "2026-11-20T12:00:00Z", "html_url": "https://x.test/c",
        })
    });
    let answer = Json(comments.collect::<Vec<_>>());
    if desk.has_next_page {
        return ([("link", "<https://x.test/?page=2>; rel=\"next\"")], answer).into_response();
    }
    answer.into_response()
}

async fn request_reviewers(State(desk): SharedState, Json(body): Json<Value>) -> Response {
    let mut desk = desk.lock().unwrap();
    for login in body["reviewers"].as_array().unwrap() {
        let login = login.as_str().unwrap().to_owned();
        if desk.refused_reviewers.contains(&login) {
            let error_body = json!({ "message": "Reviews may only be requested from collaborators." });
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(error_body)).into_response();
        }
        desk.requested_reviewers.push(login);
    }
    (StatusCode::CREATED, Json(json!({}))).into_response()
}

async fn graphql(State(desk): SharedState, Json(body): Json<Value>) -> Response {
    let mut desk = desk.lock().unwrap();
    let variables = &body["variables"];
    if !body["query"].as_str().unwrap().starts_with("mutation") {
        let page = json!({ "hasNextPage": false, "endCursor": null });
        let firsts = desk.comments.iter().filter(|(id, thread, _)| id == thread && !desk.hidden_threads.contains(id));
        let threads = firsts.map(|(first, ..)| {
            let ids = desk.comments.iter().filter(|(_, thread, _)| thread == first);
            let ids: Vec<Value> = ids.map(|(id, ..)| json!({ "fullDatabaseId": id.to_string() })).collect();
            json!({
                "id": format!("T{first}"), "isResolved": false, "isOutdated": true, "path": "a.rs", "line": null,
                "comments": { "pageInfo": page, "nodes": ids },
            })
        });
        let threads = json!({ "pageInfo": page, "nodes": threads.collect::<Vec<_>>() });
        let data = json!({ "repository": { "pullRequest": { "reviewThreads": threads } } });
        return Json(json!({ "data": data })).into_response();
    }
    if desk.broken_replies > 0 {
        desk.broken_replies -= 1;
        return StatusCode::BAD_GATEWAY.into_response();
    }
    if !desk.faults.is_empty() {
        let fault = desk.faults.remove(0);
        return Json(json!({ "data": null, "errors": [fault] })).into_response();
    }
    let thread: u64 = variables["thread"].as_str().unwrap().trim_start_matches('T').parse().unwrap();
    let id = desk.comments.iter().map(|(id, ..)| id).max().unwrap() + 1;
    desk.comments.push((id, thread, variables["body"].as_str().unwrap().to_owned()));
    if desk.lost_answers > 0 {
        desk.lost_answers -= 1;
        return broken();
    }
    let comment = json!({ "fullDatabaseId": id.to_string(), "url": "https://x.test/c" });
    Json(json!({ "data": { "addPullRequestReviewThreadReply": { "comment": comment } } })).into_response()
}
