//! Writes to an issue, and webhooks.

use axum::body::Bytes;
use axum::extract::{Path, State as Extension};
use axum::response::Response;
use serde_json::{Value, json};

use super::answers::open_transitions;
use super::{adf, answer, check_object, missing_issue, parse, refusal};
use crate::state::{BOT, Comment, Hook};
use crate::{FakeTracker, to_response};

const EVENTS: [&str; 3] = ["jira:issue_created", "jira:issue_updated", "jira:issue_deleted"];

fn no_content() -> Response {
    to_response((204, Vec::new(), Value::Null))
}

fn created(body: Value) -> Response {
    to_response((201, Vec::new(), body))
}

fn has(fake: &FakeTracker, key: &str) -> bool {
    fake.state().tickets.contains_key(key)
}

pub(super) async fn edit(Extension(fake): Extension<FakeTracker>, Path(key): Path<String>, body: Bytes) -> Response {
    let body = parse(&body);
    if let Some(refusal) = check_object(&body, &["fields", "update"]) {
        return refusal;
    }
    if !has(&fake, &key) {
        return missing_issue();
    }
    let names =
        ["fields", "update"].into_iter().filter_map(|part| body[part].as_object()).flat_map(|object| object.keys());
    if let Some(name) = names.into_iter().find(|name| *name != "labels") {
        let reason = format!("Field '{name}' cannot be set. It is not on the appropriate screen, or unknown.");
        return refusal(400, &reason, Some(name));
    }
    let mut labels = fake.state().ticket(&key).labels.clone();
    for change in body["update"]["labels"].as_array().into_iter().flatten() {
        let (Some((verb, Some(label))), true) = (
            change
                .as_object()
                .and_then(|change| change.iter().next())
                .map(|(verb, label)| (verb.as_str(), label.as_str())),
            change.as_object().is_some_and(|change| change.len() == 1),
        ) else {
            return refusal(400, "an operation with a label is expected", Some("labels"));
        };
        if label.contains(' ') {
            return refusal(400, &format!("The label '{label}' contains spaces which is invalid."), Some("labels"));
        }
        labels.retain(|other| other != label);
        match verb {
            "add" => labels.push(label.to_owned()),
            "remove" => {}
            _ => return refusal(400, &format!("{verb} is no operation"), Some("labels")),
        }
    }
    let mut state = fake.state();
    state.add_entry(&key, BOT, None);
    state.ticket_mut(&key).labels = labels;
    no_content()
}

pub(super) async fn comment(Extension(fake): Extension<FakeTracker>, Path(key): Path<String>, body: Bytes) -> Response {
    let body = parse(&body);
    if let Some(refusal) = check_object(&body, &["body", "properties", "visibility"]) {
        return refusal;
    }
    if !has(&fake, &key) {
        return missing_issue();
    }
    if let Err(reason) = adf::check(&body["body"]) {
        return refusal(400, &format!("INVALID_INPUT: {reason}"), Some("comment"));
    }
    let mut state = fake.state();
    let id = state.take_id().to_string();
    let comment = Comment { id: id.clone(), body: body["body"].clone(), properties: body["properties"].clone() };
    let shown = json!({ "id": id, "body": comment.body });
    state.ticket_mut(&key).comments.push(comment);
    created(shown)
}

pub(super) async fn link(Extension(fake): Extension<FakeTracker>, Path(key): Path<String>, body: Bytes) -> Response {
    let body = parse(&body);
    let refused = check_object(&body, &["globalId", "application", "relationship", "object"])
        .or_else(|| check_object(&body["object"], &["url", "title", "summary", "icon", "status"]));
    if let Some(refusal) = refused {
        return refusal;
    }
    if !has(&fake, &key) {
        return missing_issue();
    }
    let (Some(url), Some(title)) = (body["object"]["url"].as_str(), body["object"]["title"].as_str()) else {
        return refusal(400, "'title' is required", Some("title"));
    };
    let global_id = body["globalId"].as_str().unwrap_or(url).to_owned();
    let known = fake.state().ticket_mut(&key).links.insert(global_id, title.to_owned()).is_some();
    let body = json!({ "id": 10_000, "self": format!("{}/rest/api/3/issue/{key}/remotelink/10000", fake.url()) });
    if known { answer(body) } else { created(body) }
}

pub(super) async fn transition(
    Extension(fake): Extension<FakeTracker>,
    Path(key): Path<String>,
    body: Bytes,
) -> Response {
    let body = parse(&body);
    let refused = check_object(&body, &["transition", "fields", "update", "properties", "historyMetadata"])
        .or_else(|| check_object(&body["transition"], &["id"]));
    if let Some(refusal) = refused {
        return refusal;
    }
    if !has(&fake, &key) {
        return missing_issue();
    }
    if std::mem::replace(&mut fake.state().ticket_mut(&key).is_busy, true) {
        return refusal(409, "The issue is being updated by another transition.", None);
    }
    let mut holds = fake.state().holds_transitions.subscribe();
    holds.wait_for(|holds| !holds).await.expect("the state lives as long as the fake");
    fake.state().ticket_mut(&key).is_busy = false;
    let from = fake.state().ticket(&key).status;
    let id = body["transition"]["id"].as_str().unwrap_or_default();
    let open = open_transitions(&fake.state(), from);
    let Some(transition) = open.into_iter().find(|transition| transition.id == id) else {
        return refusal(400, &format!("Transition id '{id}' is not valid for this issue."), None);
    };
    let required = fake.state().required.get(&transition.to).cloned();
    let needs_none = transition.is_shortcut || fake.state().ticket(&key).is_filled;
    if let (Some(field), false) = (required, needs_none) {
        return refusal(400, &format!("{field} is required."), Some("customfield_10010"));
    }
    fake.state().move_by_us(&key, transition.to);
    no_content()
}

pub(super) async fn hooks(Extension(fake): Extension<FakeTracker>) -> Response {
    let state = fake.state();
    let hook = |hook: &Hook| {
        json!({ "name": "Pullyard", "url": hook.url, "enabled": hook.enabled, "events": ["jira:issue_updated"],
            "filters": { "issue-related-events-section": hook.filter },
            "self": format!("{}/rest/webhooks/1.0/webhook/{}", fake.url(), hook.id) })
    };
    answer(state.hooks.iter().map(hook).collect())
}

fn parse_hook(id: u64, body: &Value) -> Result<Hook, String> {
    let known = ["name", "url", "events", "filters", "excludeBody", "enabled", "secret"];
    let names = body.as_object().into_iter().flat_map(|object| object.keys());
    if let Some(name) = names.into_iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("Unrecognized field \"{name}\""));
    }
    let filter = body["filters"]["issue-related-events-section"].as_str();
    let (Some(url), Some(filter), Some(_)) = (body["url"].as_str(), filter, body["name"].as_str()) else {
        return Err("name, url and filters are required".to_owned());
    };
    let events = body["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    if events.is_empty() || !events.iter().all(|event| EVENTS.iter().any(|known| event == known)) {
        return Err("an event is unknown".to_owned());
    }
    let secret = body["secret"].as_str().map(str::to_owned);
    Ok(Hook { id, url: url.to_owned(), secret, filter: filter.to_owned(), enabled: body["enabled"] != false })
}

pub(super) async fn create_hook(Extension(fake): Extension<FakeTracker>, body: Bytes) -> Response {
    let id = fake.state().take_id();
    match parse_hook(id, &parse(&body)) {
        Ok(hook) => fake.state().hooks.push(hook),
        Err(message) => return refusal(400, &message, None),
    }
    created(json!({ "self": format!("{}/rest/webhooks/1.0/webhook/{id}", fake.url()) }))
}

pub(super) async fn update_hook(Extension(fake): Extension<FakeTracker>, Path(id): Path<u64>, body: Bytes) -> Response {
    let changed = match parse_hook(id, &parse(&body)) {
        Ok(hook) => hook,
        Err(message) => return refusal(400, &message, None),
    };
    let mut state = fake.state();
    let Some(hook) = state.hooks.iter_mut().find(|hook| hook.id == id) else {
        return refusal(404, "The webhook was not found.", None);
    };
    // Jira keeps the secret of a webhook if a request omits it.
    let secret = changed.secret.clone().or(hook.secret.take());
    *hook = Hook { secret, ..changed };
    answer(json!({ "self": format!("{}/rest/webhooks/1.0/webhook/{id}", fake.url()) }))
}

pub(super) async fn delete_hook(Extension(fake): Extension<FakeTracker>, Path(id): Path<u64>) -> Response {
    let mut state = fake.state();
    let Some(at) = state.hooks.iter().position(|hook| hook.id == id) else {
        return refusal(404, "The webhook was not found.", None);
    };
    state.hooks.remove(at);
    no_content()
}
