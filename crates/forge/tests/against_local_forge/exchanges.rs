//! Records requests and responses as JSON lines in the file named by PULLYARD_FORGE_EXCHANGES.
//! `.ci/octokit` compares them with GitHub's schema. Without the variable nothing is recorded.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use crate::prelude::*;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, LOCATION};
use axum::http::{Method, Uri};
use axum::response::Response;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Source {
    Demo,
    Script,
}

static FILE: Mutex<()> = Mutex::new(());

pub(crate) fn record(by: Source, method: &Method, uri: &Uri, body: &[u8], status: u16, answer: &[u8]) {
    let read = |body: &[u8]| serde_json::from_slice(body).unwrap_or(Value::Null);
    append(&json!({
        "by": if by == Source::Demo { "demo" } else { "script" },
        "method": method.as_str(),
        "path": uri.path(),
        "query": uri.query(),
        "body": read(body),
        "status": status,
        "answer": read(answer),
    }));
}

pub(crate) fn record_delivery(event: &str, body: &[u8]) {
    let body: Value = serde_json::from_slice(body).unwrap();
    append(&json!({ "by": "hook", "event": event, "body": body }));
}

fn append(exchange: &Value) {
    let Some(file) = std::env::var_os("PULLYARD_FORGE_EXCHANGES") else { return };
    let _one = FILE.lock().unwrap();
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(format!("{exchange}\n").as_bytes()).unwrap();
}

pub(crate) async fn start_recording_proxy(api_url: &str) -> String {
    if std::env::var_os("PULLYARD_FORGE_EXCHANGES").is_none() {
        return api_url.to_owned();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy_url = format!("http://{}", listener.local_addr().unwrap());
    let (forge_url, path) = api_url.split_at(api_url.find("/api").unwrap());
    let urls = Arc::new((proxy_url.clone(), forge_url.to_owned()));
    let routes = Router::new().fallback(forward).with_state(urls);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("{proxy_url}{path}")
}

async fn forward(State(urls): State<Arc<(String, String)>>, request: Request) -> Response {
    let (proxy_url, forge_url) = &*urls;
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let mut forward = http().request(head.method.clone(), format!("{forge_url}{}", head.uri)).body(body.clone());
    for (name, value) in head.headers.iter().filter(|(name, _)| *name != "host" && *name != "content-length") {
        forward = forward.header(name, value);
    }
    let answer = forward.send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers().iter().filter(|(name, _)| *name != "transfer-encoding") {
        // Redirects must return to this proxy.
        let value = match value.to_str() {
            Ok(address) if name == LOCATION => address.replace(forge_url, proxy_url).parse().unwrap(),
            _ => value.clone(),
        };
        response = response.header(name, value);
    }
    let status = answer.status().as_u16();
    let response_body = answer.bytes().await.unwrap();
    // GitHub describes the answers in JSON only, not a diff.
    if head.headers.get(ACCEPT).is_none_or(|accept| accept != "application/vnd.github.diff") {
        record(Source::Demo, &head.method, &head.uri, &body, status, &response_body);
    }
    response.body(Body::from(response_body)).unwrap()
}
