//! Reads of an issue.

use axum::body::Bytes;
use axum::extract::{Path, Query, State as Extension};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Parameters, answer, check_names, check_object, missing_issue, parse, refusal, status_body};
use crate::state::{Comment, PERSON, STATUSES, TicketBody, person, to_time};
use crate::{FakeTracker, State, Ticket};

const HISTORY_LIMIT: usize = 100;

pub(super) async fn issue(
    Extension(fake): Extension<FakeTracker>,
    Path(key): Path<String>,
    Query(query): Parameters,
) -> Response {
    if let Some(refusal) = check_names(query.keys(), &["fields", "expand"]) {
        return refusal;
    }
    let Some(ticket) = fake.state().tickets.get(&key).cloned() else { return missing_issue() };
    let all = [
        ("summary", json!(ticket.title)),
        ("description", description(&ticket)),
        ("labels", json!(ticket.labels)),
        ("status", status_body(&fake, ticket.status)),
        ("created", json!(to_time(ticket.created, "+0000"))),
        ("updated", json!(to_time(ticket.updated, "+0000"))),
        ("creator", person(PERSON, "accountId", "displayName")),
    ];
    let names = query.get("fields").map(String::as_str).unwrap_or_default();
    let fields = all.into_iter().filter(|(name, _)| names.split(',').any(|wanted| wanted == *name));
    let fields = fields.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>();
    let mut body = json!({ "id": "10002", "self": fake.url(), "key": ticket.key, "fields": fields });
    if query.get("expand").is_some_and(|expand| expand == "changelog") {
        body["changelog"] = changelog(&fake, &ticket);
    }
    answer(body)
}

fn description(ticket: &Ticket) -> Value {
    match &ticket.body {
        TicketBody::Empty => Value::Null,
        TicketBody::Text(text) => json!(text),
        TicketBody::Document(document) => document.clone(),
    }
}

/// The newest entries, newest first.
fn changelog(fake: &FakeTracker, ticket: &Ticket) -> Value {
    let state = fake.state();
    let entry = |entry: &crate::state::Entry| {
        let item = match entry.moved {
            Some((from, to)) => json!({
                "field": "status", "fieldtype": "jira", "fieldId": "status", "from": state.status_id(from),
                "fromString": STATUSES[from].0, "to": state.status_id(to), "toString": STATUSES[to].0,
            }),
            None => json!({ "field": "labels", "fieldtype": "jira", "fieldId": "labels", "from": null, "to": null,
                "fromString": "", "toString": "x" }),
        };
        json!({ "id": entry.id.to_string(), "author": person(entry.by, "accountId", "displayName"),
            "created": to_time(entry.at, "+0000"), "items": [item] })
    };
    let histories = ticket.history.iter().rev().take(HISTORY_LIMIT).map(entry).collect::<Vec<_>>();
    // As described: the number of results on the page.
    json!({ "startAt": 0, "maxResults": HISTORY_LIMIT, "total": histories.len(), "histories": histories })
}

pub(super) async fn comments(
    Extension(fake): Extension<FakeTracker>,
    Path(key): Path<String>,
    Query(query): Parameters,
) -> Response {
    if let Some(refusal) = check_names(query.keys(), &["orderBy", "expand", "maxResults", "startAt"]) {
        return refusal;
    }
    let Some(ticket) = fake.state().tickets.get(&key).cloned() else { return missing_issue() };
    let size = query.get("maxResults").and_then(|text| text.parse().ok()).unwrap_or(50);
    // `expand` is described for the rendered body only.
    let comment = |comment: &Comment| json!({ "id": comment.id, "body": comment.body });
    let mut comments = ticket.comments.iter().map(comment).collect::<Vec<_>>();
    if query.get("orderBy").is_some_and(|order| order == "-created") {
        comments.reverse();
    }
    comments.truncate(size);
    answer(json!({ "startAt": 0, "maxResults": size, "total": ticket.comments.len(), "comments": comments }))
}

pub(super) async fn comments_by_ids(
    Extension(fake): Extension<FakeTracker>,
    Query(query): Parameters,
    body: Bytes,
) -> Response {
    let body = parse(&body);
    let refused = check_names(query.keys(), &["expand"]).or_else(|| check_object(&body, &["ids"]));
    if let Some(refusal) = refused {
        return refusal;
    }
    let Some(ids) = body["ids"].as_array().filter(|ids| (1..=1000).contains(&ids.len())) else {
        return refusal(400, "ids: 1 to 1000 are required", None);
    };
    let shows_properties = query.get("expand").is_some_and(|expand| expand == "properties");
    let comment = |comment: &Comment| {
        let mut shown = json!({ "id": comment.id, "body": comment.body });
        if shows_properties && comment.properties.is_array() {
            shown["properties"] = comment.properties.clone();
        }
        shown
    };
    let state = fake.state();
    let all = state.tickets.values().flat_map(|ticket| &ticket.comments);
    let found = all.filter(|comment| ids.iter().any(|id| id.as_u64() == comment.id.parse().ok())).map(comment);
    let values = found.collect::<Vec<_>>();
    answer(json!({ "isLast": true, "maxResults": 1000, "startAt": 0, "total": values.len(), "values": values }))
}

pub(super) async fn links(Extension(fake): Extension<FakeTracker>, Path(key): Path<String>) -> Response {
    let Some(ticket) = fake.state().tickets.get(&key).cloned() else { return missing_issue() };
    let link = |(url, title): (&String, &String)| {
        json!({ "id": 10_000, "self": format!("{}/rest/api/3/issue/{key}/remotelink/10000", fake.url()),
            "globalId": url, "object": { "url": url, "title": title } })
    };
    answer(ticket.links.iter().map(link).collect())
}

pub(super) async fn transitions(
    Extension(fake): Extension<FakeTracker>,
    Path(key): Path<String>,
    Query(query): Parameters,
) -> Response {
    if let Some(refusal) = check_names(query.keys(), &["expand"]) {
        return refusal;
    }
    let Some(ticket) = fake.state().tickets.get(&key).cloned() else { return missing_issue() };
    let transition = |transition: &Transition| {
        let to = transition.to;
        json!({ "id": transition.id, "name": STATUSES[to].0, "to": status_body(&fake, to) })
    };
    let open = open_transitions(&fake.state(), ticket.status);
    answer(json!({ "expand": "transitions", "transitions": open.iter().map(transition).collect::<Vec<_>>() }))
}

pub(super) struct Transition {
    pub(super) id: String,
    pub(super) to: usize,
    /// Needs no field.
    pub(super) is_shortcut: bool,
}

/// Ids of transitions differ by the status that they leave.
pub(super) fn open_transitions(state: &State, from: usize) -> Vec<Transition> {
    let open = (0..STATUSES.len()).filter(|to| *to != from && !state.closed_paths.contains(&(from, *to)));
    let paths = open.flat_map(|to| {
        let path = Transition { id: format!("{}{}", from + 1, to + 1), to, is_shortcut: false };
        let shortcut = Transition { id: format!("9{}", to + 1), to, is_shortcut: true };
        [Some(path), state.shortcuts.contains(&to).then_some(shortcut)]
    });
    paths.flatten().collect()
}
