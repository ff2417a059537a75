//! A user's own ticket tool at `/tool`: applies the wanted states that it receives, and shows them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

/// The tickets by project and key: `acme/APP-1`. Each has its status and the newest message.
pub(crate) type Tickets = Arc<Mutex<BTreeMap<String, Value>>>;

/// The entry while the tool answers nothing.
const AWAY: &str = "away";

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(tickets: Tickets) -> Router<S> {
    let away = post(leave).delete(come_back);
    Router::new().route("/tool", post(receive).get(show)).route("/tool/away", away).with_state(tickets)
}

async fn leave(State(tickets): State<Tickets>) {
    tickets.lock().unwrap_or_else(PoisonError::into_inner).insert(AWAY.into(), Value::Bool(true));
}

async fn come_back(State(tickets): State<Tickets>) {
    tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(AWAY);
}

async fn receive(State(tickets): State<Tickets>, Json(message): Json<Value>) -> Response {
    let wanted = &message["data"];
    let mut tickets = tickets.lock().unwrap_or_else(PoisonError::into_inner);
    if tickets.contains_key(AWAY) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let key = ["project", "ticket"].map(|name| wanted[name].as_str().unwrap_or_default()).join("/");
    let ticket = tickets.entry(key).or_insert_with(|| json!({ "status": wanted["expected_status"], "version": 0 }));
    if wanted["version"].as_u64() < ticket["version"].as_u64() {
        return StatusCode::OK.into_response();
    }
    for name in ["version", "badge", "comment", "pull_request"] {
        ticket[name] = wanted[name].clone();
    }
    if wanted["status"].is_null() {
        return StatusCode::OK.into_response();
    }
    if ticket["status"] != wanted["status"] && ticket["status"] != wanted["expected_status"] {
        return (StatusCode::CONFLICT, Json(json!({ "status": ticket["status"] }))).into_response();
    }
    ticket["status"] = wanted["status"].clone();
    StatusCode::OK.into_response()
}

async fn show(State(tickets): State<Tickets>) -> Json<BTreeMap<String, Value>> {
    Json(tickets.lock().unwrap_or_else(PoisonError::into_inner).clone())
}
