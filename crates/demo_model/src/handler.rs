//! Answers a request to the model with the next step of the script.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::log::{Log, Outcome, Request};
use crate::refusal::Refusal;
use crate::resettable::ConnectionReset;
use crate::script::{Script, Step};
use crate::send_answer;
use crate::send_answer::RenderedAnswer;
use crate::{messages, responses};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) script: Script,
    pub(crate) log: Log,
}

type RequestParts = (Method, Uri, HeaderMap, Bytes);

pub(crate) async fn anthropic(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<ConnectionReset>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    respond(&shared, &line, (method, uri, headers, body), messages::render).await
}

pub(crate) async fn openai(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<ConnectionReset>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    respond(&shared, &line, (method, uri, headers, body), responses::render).await
}

async fn respond(
    shared: &Shared,
    line: &ConnectionReset,
    (method, uri, headers, body): RequestParts,
    write: fn(&Answer, usize, &str) -> RenderedAnswer,
) -> Response {
    let step = shared.script.next();
    let outcome = match &step {
        Some(Step::Answer(_)) => Outcome::Answered,
        Some(Step::Refuse(refusal)) => Outcome::Refused(refusal.status),
        Some(Step::Reset) => Outcome::Reset,
        Some(Step::Hang) => Outcome::Hung,
        None => Outcome::ScriptEmpty,
    };
    let request = Request::new(&method, &uri, &headers, &body, outcome);
    let field = |name: &str| request.body.get(name).cloned().unwrap_or_default();
    let (model, streamed) = (field("model"), field("stream") == json!(true));
    let number = shared.log.add(request);
    match step {
        Some(Step::Answer(answer)) => {
            let rendered_answer = write(&answer, number, model.as_str().unwrap_or("scripted"));
            send_answer::send(&answer, rendered_answer, streamed)
        }
        Some(Step::Refuse(refusal)) => refusal.to_response(),
        Some(Step::Reset) => line.reset(),
        Some(Step::Hang) => std::future::pending().await,
        None => {
            tracing::warn!("the demo model's script is used up");
            script_empty_response()
        }
    }
}

/// An error that no client retries.
fn script_empty_response() -> Response {
    let message = "the demo model's script is used up: no step is left for this request";
    let body: Value = json!({
        "type": "error",
        "error": { "type": "script_used_up", "code": "script_used_up", "message": message },
    });
    Refusal::new(500, body).with_header("x-should-retry", "false").to_response()
}
