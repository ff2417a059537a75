//! A server that returns scripted responses and records the requests.
//! Only the requests are compared with GitHub's schema.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::prelude::*;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::exchanges;
use crate::exchanges::Source;
use crate::world::{TOKEN, forge_at};

pub(crate) type ScriptLine = (u16, &'static [(&'static str, &'static str)], String);

#[derive(Clone)]
pub(crate) struct ScriptedExchange {
    pub(crate) url: String,
    state: Arc<Mutex<ScriptRun>>,
}

pub(crate) fn ok(body: Value) -> ScriptLine {
    (200, &[], body.to_string())
}

pub(crate) async fn script_forge<const N: usize>(lines: [ScriptLine; N]) -> (Forge, ScriptedExchange) {
    let scripted = ScriptedExchange::start(lines).await;
    (forge_at(&scripted.url, TOKEN), scripted)
}

#[derive(Default)]
struct ScriptRun {
    responses: VecDeque<ScriptLine>,
    requests: Vec<String>,
    bodies: Vec<Value>,
}

impl ScriptedExchange {
    pub(crate) async fn start(lines: impl IntoIterator<Item = ScriptLine>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script_forge = ScriptRun { responses: lines.into_iter().collect(), ..ScriptRun::default() };
        let scripted = Self { url, state: Arc::new(Mutex::new(script_forge)) };
        let routes = Router::new().fallback(answer).with_state(scripted.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        scripted
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.state.lock().unwrap().bodies.clone()
    }
}

async fn answer(State(scripted): State<ScriptedExchange>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let headers = &head.headers;
    let sent = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let expected = sent("authorization") == format!("Bearer {TOKEN}")
        && sent("accept") == "application/vnd.github+json"
        && sent("x-github-api-version") == "2022-11-28"
        && sent("user-agent") == "pullyard";
    let mut script_forge = scripted.state.lock().unwrap();
    script_forge.requests.push(format!("{} {}", head.method, head.uri));
    script_forge.bodies.push(serde_json::from_slice(&body).unwrap_or_default());
    if !expected {
        return (StatusCode::IM_A_TEAPOT, "the headers are not as promised").into_response();
    }
    let Some((status, headers, answer)) = script_forge.responses.pop_front() else {
        return (StatusCode::IM_A_TEAPOT, "the script is over").into_response();
    };
    exchanges::record(Source::Script, &head.method, &head.uri, &body, status, answer.as_bytes());
    let mut response = (StatusCode::from_u16(status).unwrap(), answer).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}
