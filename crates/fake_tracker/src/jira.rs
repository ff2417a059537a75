//! The routes of Jira Cloud's REST API that the client calls.

mod adf;
mod answers;
mod writes;

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State as Extension};
use axum::http::HeaderValue;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post, put};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::state::{BOT, CREDENTIAL, STATUSES, scope_of, to_time};
use crate::{FakeTracker, to_response};

type Parameters = Query<BTreeMap<String, String>>;

pub(crate) fn routes() -> Router<FakeTracker> {
    let issue = Router::new()
        .route("/", get(answers::issue).put(writes::edit))
        .route("/transitions", get(answers::transitions).post(writes::transition))
        .route("/comment", get(answers::comments).post(writes::comment))
        .route("/remotelink", get(answers::links).post(writes::link));
    let api = Router::new()
        .route("/myself", get(myself))
        .route("/project/search", get(projects))
        .route("/project/{key}/statuses", get(statuses))
        .route("/status/{id}", get(status))
        .route("/search/jql", get(search))
        .route("/comment/list", post(answers::comments_by_ids))
        .nest("/issue/{key}", issue);
    let hooks = Router::new()
        .route("/", get(writes::hooks).post(writes::create_hook))
        .route("/{id}", put(writes::update_hook).delete(writes::delete_hook));
    Router::new()
        .nest("/rest/api/3", api)
        .nest("/rest/webhooks/1.0/webhook", hooks)
        .fallback(async || refusal(404, "null for uri", None))
        .layer(middleware::from_fn(authenticate))
}

async fn authenticate(request: Request, next: Next) -> Response {
    let known = format!("Basic {}", BASE64_STANDARD.encode(CREDENTIAL));
    match request.headers().get("authorization").and_then(|value| value.to_str().ok()) {
        Some(value) if value == known => next.run(request).await,
        _ => anonymous(request.uri().path()),
    }
}

/// A wrong credential is none, and some calls need none.
fn anonymous(path: &str) -> Response {
    let mut response = match path {
        "/rest/api/3/search/jql" => answer(json!({ "issues": [], "isLast": true })),
        "/rest/api/3/myself" => refusal(401, "Client must be authenticated to access this resource.", None),
        _ => missing_issue(),
    };
    response.headers_mut().insert("x-seraph-loginreason", HeaderValue::from_static("AUTHENTICATED_FAILED"));
    response
}

/// An error body of Jira, with a message for a field or for the whole request.
fn refusal(status: u16, message: &str, field: Option<&str>) -> Response {
    let body = match field {
        Some(field) => json!({ "errorMessages": [], "errors": { field: message } }),
        None => json!({ "errorMessages": [message], "errors": {} }),
    };
    to_response((status, Vec::new(), body))
}

fn missing_issue() -> Response {
    refusal(404, "Issue does not exist or you do not have permission to see it.", None)
}

fn answer(body: Value) -> Response {
    to_response((200, Vec::new(), body))
}

fn parse(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

/// A refusal if the query or an object has a name that the API does not describe.
fn check_names<'a>(names: impl IntoIterator<Item = &'a String>, known: &[&str]) -> Option<Response> {
    let unknown = names.into_iter().find(|name| !known.contains(&name.as_str()))?;
    Some(refusal(400, &format!("Unrecognized field \"{unknown}\""), None))
}

fn check_object(value: &Value, known: &[&str]) -> Option<Response> {
    match value.as_object() {
        Some(object) => check_names(object.keys(), known),
        None => Some(refusal(400, "an object is expected", None)),
    }
}

fn status_body(fake: &FakeTracker, status: usize) -> Value {
    let (name, category, _) = STATUSES[status];
    let id = fake.state().status_id(status);
    let own = format!("{}/rest/api/3/status/{id}", fake.url());
    json!({ "self": own, "id": id, "name": name, "statusCategory": { "id": status, "key": category } })
}

async fn myself(Extension(fake): Extension<FakeTracker>) -> Response {
    let kind = if fake.state().is_app { "app" } else { "atlassian" };
    answer(json!({ "accountId": BOT.0, "displayName": BOT.1, "accountType": kind, "active": true }))
}

async fn projects(Extension(fake): Extension<FakeTracker>, Query(query): Parameters) -> Response {
    if let Some(refusal) = check_names(query.keys(), &["startAt", "maxResults", "orderBy"]) {
        return refusal;
    }
    let all = [("ABC", "Alphabet"), ("PRJ", "Project"), ("XYZ", "Zoo")];
    let start: usize = query.get("startAt").and_then(|text| text.parse().ok()).unwrap_or_default();
    let size = query.get("maxResults").and_then(|text| text.parse().ok()).unwrap_or(50).min(fake.state().page_size);
    let project = |(key, name): &(&str, &str)| json!({ "id": "1", "key": key, "name": name });
    let values = all.iter().skip(start).take(size).map(project).collect::<Vec<_>>();
    let is_last = start + values.len() >= all.len() && !fake.state().has_endless_pages;
    answer(json!({ "isLast": is_last, "maxResults": size, "startAt": start, "total": all.len(), "values": values }))
}

async fn statuses(Extension(fake): Extension<FakeTracker>, Path(key): Path<String>) -> Response {
    if !["ABC", "PRJ"].contains(&key.as_str()) {
        return refusal(404, &format!("No project could be found with key '{key}'."), None);
    }
    let statuses = |range: std::ops::Range<usize>| range.map(|status| status_body(&fake, status)).collect::<Vec<_>>();
    let kind = |name: &str, statuses| json!({ "self": fake.url(), "id": "1", "name": name, "subtask": false, "statuses": statuses });
    answer(json!([kind("Bug", statuses(0..3)), kind("Task", statuses(0..4))]))
}

async fn status(Extension(fake): Extension<FakeTracker>, Path(id): Path<String>) -> Response {
    let found = fake.state().status_index(&id);
    found.map_or_else(|| refusal(404, "The status was not found.", None), |status| answer(status_body(&fake, status)))
}

/// Understands only the query of the client.
async fn search(Extension(fake): Extension<FakeTracker>, Query(query): Parameters) -> Response {
    if let Some(refusal) = check_names(query.keys(), &["jql", "fields", "maxResults", "nextPageToken"]) {
        return refusal;
    }
    let jql = query.get("jql").map(String::as_str).unwrap_or_default();
    let parts = jql.strip_prefix("project = \"").and_then(|rest| rest.split_once("\" AND updated >= -"));
    let minutes = parts
        .and_then(|(_, rest)| rest.strip_suffix("m ORDER BY updated ASC"))
        .and_then(|minutes| minutes.parse::<i64>().ok());
    let (Some((project, _)), Some(minutes)) = (parts, minutes) else {
        return refusal(400, &format!("Error in the JQL Query: {jql}"), None);
    };
    let state = fake.state();
    let since = state.now() - minutes * 60_000;
    let is_found = |ticket: &&crate::Ticket| ticket.updated >= since && scope_of(&ticket.key) == project;
    let mut found = state.tickets.values().filter(is_found).collect::<Vec<_>>();
    found.sort_by_key(|ticket| ticket.updated);
    let start = query.get("nextPageToken").and_then(|token| token.parse().ok()).unwrap_or_default();
    let start: usize = if state.has_endless_pages { 0 } else { start };
    let size = query.get("maxResults").and_then(|text| text.parse().ok()).unwrap_or(50).min(state.page_size);
    let issue = |ticket: &&crate::Ticket| json!({ "id": "10002", "key": ticket.key, "fields": { "updated": to_time(ticket.updated, "+0000") } });
    let issues = found.iter().skip(start).take(size).map(issue).collect::<Vec<_>>();
    let end = start + issues.len();
    match end < found.len() || state.has_endless_pages {
        true => answer(json!({ "issues": issues, "isLast": false, "nextPageToken": end.to_string() })),
        false => answer(json!({ "issues": issues, "isLast": true })),
    }
}
