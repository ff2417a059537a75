//! A proxy before DynamoDB that changes a ticket before each transaction that writes it.

use crate::story::Between;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::net::TcpListener;

/// Headers that a call needs, besides its target; signatures are not verified.
const HEADERS: [&str; 3] = ["content-type", "authorization", "x-amz-date"];
const TARGET: &str = "DynamoDB_20120810.";

#[derive(Clone)]
pub(super) struct Rival {
    url: String,
    /// DynamoDB's URL, set before the first call.
    behind: Arc<OnceLock<String>>,
    http: reqwest::Client,
    /// The partition key of the ticket to change.
    wants: Arc<Mutex<Option<String>>>,
    faster: Arc<AtomicUsize>,
}

impl Rival {
    /// Listens until the test ends; changes no ticket yet.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let http = reqwest::Client::new();
        let rival = Self { url, behind: Arc::default(), http, wants: Arc::default(), faster: Arc::default() };
        let router = Router::new().fallback(passed_on).with_state(rival.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        rival
    }

    /// Puts the proxy before the DynamoDB of a system.
    pub(super) fn between(&self) -> Between {
        let rival = self.clone();
        Between::new(move |behind| {
            rival.behind.set(behind.to_owned()).unwrap();
            rival.url.clone()
        })
    }

    /// From now on the ticket of this partition is changed, or none.
    pub(super) fn wants(&self, ticket: Option<&str>) {
        *self.wants.lock().unwrap_or_else(PoisonError::into_inner) = ticket.map(str::to_owned);
    }

    pub(super) fn was_faster(&self) -> usize {
        self.faster.load(Ordering::SeqCst)
    }

    /// The key of the ticket, if the call writes it.
    fn wanted(&self, operation: &str, asked: &Value) -> Option<Value> {
        let wants = self.wants.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let writes = asked["TransactItems"].as_array().filter(|_| operation == "TransactWriteItems")?;
        let mut items = writes.iter().map(|write| &write["Put"]["Item"]);
        let put = items.find(|item| item["pk"]["S"] == wants && item["sk"]["S"] == "TICKET")?;
        Some(json!({ "pk": put["pk"].clone(), "sk": put["sk"].clone() }))
    }

    async fn call(&self, headers: &HeaderMap, operation: &str, body: Vec<u8>) -> Response {
        let mut call = self.http.post(self.behind.get().unwrap());
        for (name, value) in HEADERS.iter().filter_map(|name| Some((*name, headers.get(*name)?))) {
            call = call.header(name, value);
        }
        let answer = call.header("x-amz-target", format!("{TARGET}{operation}")).body(body).send().await.unwrap();
        let (status, bytes) = (answer.status(), answer.bytes().await.unwrap());
        (status, [("content-type", "application/x-amz-json-1.0")], bytes).into_response()
    }
}

async fn passed_on(State(rival): State<Rival>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix(TARGET).unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(key) = rival.wanted(operation, &asked) {
        let change = json!({
            "TableName": asked["TransactItems"][0]["Put"]["TableName"].clone(),
            "Key": key,
            "UpdateExpression": "ADD rev :one",
            "ExpressionAttributeValues": { ":one": { "N": "1" } },
        });
        let changed = rival.call(&headers, "UpdateItem", change.to_string().into_bytes()).await;
        assert!(changed.status().is_success(), "{changed:?}");
        rival.faster.fetch_add(1, Ordering::SeqCst);
    }
    rival.call(&headers, operation, body.to_vec()).await
}
