//! GitHub's issues below `/api/v3/repos/{owner}/{name}/issues`, with labels, state, events and comments. Paths of pull
//! requests pass. Issues have numbers above 1,000, the same in all repositories.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::LINK;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::render;
use pullyard_local_forge::users::Credentials;
use reqwest::Url;
use serde_json::{Value, json};

use crate::FakeForge;

const FIRST: u64 = 1_001;

#[derive(Debug, Default)]
pub(crate) struct Issue {
    fields: Value,
    events: Vec<Value>,
    comments: Vec<Value>,
}

#[derive(Debug, Default)]
pub(crate) struct Tracked {
    issues: BTreeMap<u64, Issue>,
    labels: Labels,
}

pub(crate) type Issues = Arc<Mutex<Tracked>>;

/// The labels of each repository, by its path and the label's name in lower case. The first spelling stays.
#[derive(Debug, Default)]
struct Labels(BTreeMap<(String, String), String>);

impl Labels {
    /// Creates a missing label. GitHub gives an issue the existing one, whatever case a request has.
    fn spelling(&mut self, repository: &str, name: &str) -> String {
        let key = (repository.to_lowercase(), name.to_lowercase());
        self.0.entry(key).or_insert_with(|| name.to_owned()).clone()
    }
}

fn is_named(label: &Value, name: &str) -> bool {
    label["name"].as_str().is_some_and(|known| known.to_lowercase() == name.to_lowercase())
}

pub(crate) async fn handle(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let ["api", "v3", "repos", owner, name, "issues", rest @ ..] = &parts[..] else { return next.run(request).await };
    let number = rest.first().and_then(|number| number.parse::<u64>().ok());
    let is_issue = number.is_some_and(|number| number >= FIRST);
    let is_creation = rest.is_empty() && request.method() == Method::POST;
    let query = request.uri().query().unwrap_or_default().to_owned();
    let lists = matches!(rest, [] | ["comments"]) && query.contains("since=");
    let Some(fake) = shared.extension::<FakeForge>().filter(|_| is_issue || is_creation || lists) else {
        return next.run(request).await;
    };
    let Credentials::Member(member) = shared.users.authenticate_bearer(request.headers()) else {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "message": "Bad credentials" }))).into_response();
    };
    let (actor, at, method) =
        (render::account(&shared, &member.account()), shared.clock.now(), request.method().clone());
    let base = format!("https://github.test/{owner}/{name}/issues");
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut tracked = fake.issues.lock().unwrap_or_else(PoisonError::into_inner);
    let Tracked { issues, labels: known } = &mut *tracked;
    if lists && !rest.is_empty() {
        return list_comments(issues, &query);
    }
    if lists {
        let all: Vec<_> = issues.values().map(|issue| issue.fields.clone()).collect();
        return Json(all).into_response();
    }
    let comment_id = issues.values().map(|issue| issue.comments.len() + 1).sum::<usize>();
    let next_event = FIRST * 1_000 + issues.values().map(|issue| issue.events.len() as u64).sum::<u64>();
    let number = number.unwrap_or_else(|| issues.keys().last().map_or(FIRST, |last| last + 1));
    if is_creation {
        let fields = json!({
            "number": number, "title": body["title"], "body": body["body"], "labels": [], "state": "open",
            "html_url": format!("{base}/{number}"), "created_at": at, "updated_at": at, "user": actor,
        });
        issues.insert(number, Issue { fields: fields.clone(), ..Issue::default() });
        return (StatusCode::CREATED, Json(fields)).into_response();
    }
    let Some(issue) = issues.get_mut(&number) else {
        return (StatusCode::NOT_FOUND, Json(json!({ "message": "Not Found" }))).into_response();
    };
    let event = |kind: &str, label: Option<&str>| {
        let mut event = json!({ "id": next_event, "event": kind, "created_at": at, "actor": actor });
        if let Some(name) = label {
            event["label"] = json!({ "name": name });
        }
        event
    };
    let labels = issue.fields["labels"].as_array().cloned().unwrap_or_default();
    match (method.as_str(), &rest[1..]) {
        ("GET", []) => Json(issue.fields.clone()).into_response(),
        ("GET", ["events"]) => Json(issue.events.clone()).into_response(),
        ("GET", ["comments"]) => Json(issue.comments.clone()).into_response(),
        ("POST", ["comments"]) => {
            let comment = json!({
                "id": comment_id, "body": body["body"], "user": actor, "created_at": at, "updated_at": at,
                "html_url": format!("{base}/{number}#issuecomment-{comment_id}"),
            });
            issue.comments.push(comment.clone());
            (StatusCode::CREATED, Json(comment)).into_response()
        }
        ("POST", ["labels"]) => {
            let sent = body["labels"][0].as_str().unwrap_or_default();
            if !labels.iter().any(|label| is_named(label, sent)) {
                let name = known.spelling(&format!("{owner}/{name}"), sent);
                issue.events.push(event("labeled", Some(&name)));
                issue.fields["labels"] = labels.into_iter().chain([json!({ "name": name })]).collect();
            }
            Json(issue.fields["labels"].clone()).into_response()
        }
        ("DELETE", ["labels", name]) => {
            let name = name.replace("%20", " ");
            let (removed, left): (Vec<_>, Vec<_>) = labels.into_iter().partition(|label| is_named(label, &name));
            let Some(removed) = removed.first() else {
                return (StatusCode::NOT_FOUND, Json(json!({ "message": "Label does not exist" }))).into_response();
            };
            issue.fields["labels"] = left.into();
            issue.events.push(event("unlabeled", removed["name"].as_str()));
            Json(issue.fields["labels"].clone()).into_response()
        }
        ("PATCH", []) => {
            if issue.fields["state"] != body["state"] {
                issue.fields["state"] = body["state"].clone();
                let kind = if body["state"] == "open" { "reopened" } else { "closed" };
                issue.events.push(event(kind, None));
            }
            Json(issue.fields.clone()).into_response()
        }
        _ => (StatusCode::NOT_FOUND, Json(json!({ "message": "Not Found" }))).into_response(),
    }
}

/// The comments of all issues, `sort=updated&direction=asc`, and a link to the next page. Comments on pull requests,
/// which GitHub lists too, are missing.
fn list_comments(issues: &BTreeMap<u64, Issue>, query: &str) -> Response {
    let value = |name: &str| {
        let url = Url::parse(&format!("https://github.test/?{query}")).ok()?;
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let since = value("since").unwrap_or_default();
    let size = value("per_page").and_then(|size| size.parse().ok()).unwrap_or(30);
    let updated_at = |comment: &Value| comment["updated_at"].as_str().unwrap_or_default().to_owned();
    let all = issues.values().flat_map(|issue| &issue.comments);
    let mut found: Vec<&Value> = all.filter(|comment| updated_at(comment) >= since).collect();
    found.sort_by_key(|comment| updated_at(comment));
    if found.len() <= size {
        return Json(found).into_response();
    }
    found.truncate(size);
    ([(LINK, "<https://github.test/?page=2>; rel=\"next\"")], Json(found)).into_response()
}
