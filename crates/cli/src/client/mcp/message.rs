//! Answers JSON-RPC messages of both forms of the protocol: versions up to 2025-11-25 begin with `initialize`, and
//! each request of 2026-07-28 names its version in `_meta`. Agents send the one, the other or both.

use super::rpc_error::RpcError;
use super::tools;
use crate::client::prelude::*;
use serde_json::{Value, json};

/// Versions that begin with `initialize`, oldest first.
/// 2025-03-26 has batches, which no agent sends.
const HANDSHAKE_VERSIONS: [&str; 3] = ["2024-11-05", "2025-06-18", "2025-11-25"];
const NEWEST_HANDSHAKE: &str = "2025-11-25";
const STATELESS_VERSION: &str = "2026-07-28";

const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
const SERVER_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// How long a client may keep the list of tools, which changes with the program only. Units: milliseconds.
const LIST_TTL_MS: u64 = 60_000;

const INSTRUCTIONS: &str = "Pullyard runs plans of coding agents on repositories and opens pull requests. Check a plan \
    with plan_check, start it with run_start, then call run_wait until the run has ended. Answer the question of an agent \
    with job_answer. A step in the state `asked` waits for a user, who runs `pullyard runs approve RUN/STEP`; do not run it yourself.";

pub(super) enum Message {
    /// An empty line, or a notification that needs no action.
    Nothing,
    /// The client no longer waits for the answer to this id.
    Cancel(Value),
    /// The answer to a request that needs no call of the API, or that is refused.
    Answer(Value),
    Call(Request),
}

/// A call of a tool.
pub(super) struct Request {
    /// Text or a number.
    pub(super) id: Value,
    params: Value,
    is_stateless: bool,
}

impl Request {
    pub(super) async fn answer(self, session: &Session) -> Value {
        let result = Box::pin(tools::call(session, &self.params)).await;
        to_answer(&self.id, result.map(|result| complete(result, "tools/call", self.is_stateless)))
    }

    pub(super) fn refuse(&self, message: &str) -> Value {
        to_answer(&self.id, Err(RpcError::new(-32000, message)))
    }
}

pub(super) fn parse(line: &[u8]) -> Message {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Message::Nothing;
    }
    let refuse = |code, message| Message::Answer(to_answer(&Value::Null, Err(RpcError::new(code, message))));
    let Ok(mut message) = serde_json::from_slice::<Value>(line) else { return refuse(-32700, "this line is not JSON") };
    let Some(method) = message["method"].as_str().map(str::to_owned) else {
        return refuse(-32600, "send one request or notification per line");
    };
    let params = message["params"].take();
    let Some(id) = message.get("id") else {
        return match method.as_str() {
            "notifications/cancelled" => Message::Cancel(params["requestId"].clone()),
            _ => Message::Nothing,
        };
    };
    if !id.is_string() && !id.is_number() {
        return refuse(-32600, "an id is text or a number");
    }
    if method == "tools/call" {
        return match check_version(&params) {
            Ok(is_stateless) => Message::Call(Request { id: id.clone(), params, is_stateless }),
            Err(error) => Message::Answer(to_answer(id, Err(error))),
        };
    }
    Message::Answer(to_answer(id, answer_at_once(&method, &params)))
}

/// The answer to a line that was not read, so its id is unknown.
pub(super) fn refuse_long_line() -> Value {
    to_answer(&Value::Null, Err(RpcError::new(-32600, "this line is longer than 1 MB; send a shorter message")))
}

fn to_answer(id: &Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(RpcError(error)) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }
}

fn answer_at_once(method: &str, params: &Value) -> Result<Value, RpcError> {
    if method == "initialize" {
        return Ok(initialize(params));
    }
    let is_stateless = check_version(params)?;
    let result = match method {
        "server/discover" if is_stateless => json!({ "supportedVersions": [STATELESS_VERSION],
            "capabilities": { "tools": {} }, "instructions": INSTRUCTIONS }),
        "server/discover" => return Err(RpcError::invalid(&format!("`_meta` needs {VERSION_KEY}"))),
        "ping" => json!({}),
        "tools/list" => json!({ "tools": *tools::TOOLS }),
        _ => return Err(RpcError::new(-32601, &format!("there is no method {method}"))),
    };
    Ok(complete(result, method, is_stateless))
}

/// Adds the fields of the stateless form.
fn complete(mut result: Value, method: &str, is_stateless: bool) -> Value {
    if is_stateless {
        result["resultType"] = json!("complete");
        result["_meta"] = json!({ SERVER_KEY: server_info() });
        if method.ends_with("discover") || method.ends_with("list") {
            result["ttlMs"] = json!(LIST_TTL_MS);
            result["cacheScope"] = json!("private");
        }
    }
    result
}

fn initialize(params: &Value) -> Value {
    let wanted = params["protocolVersion"].as_str();
    let version = HANDSHAKE_VERSIONS.into_iter().find(|version| Some(*version) == wanted).unwrap_or(NEWEST_HANDSHAKE);
    json!({ "protocolVersion": version, "capabilities": { "tools": {} }, "serverInfo": server_info(),
        "instructions": INSTRUCTIONS })
}

fn server_info() -> Value {
    json!({ "name": "pullyard", "version": pullyard_version::VERSION })
}

/// Whether the request has the form of 2026-07-28.
fn check_version(params: &Value) -> Result<bool, RpcError> {
    let meta = &params["_meta"];
    let Some(version) = meta.get(VERSION_KEY) else { return Ok(false) };
    if version != STATELESS_VERSION {
        let RpcError(mut error) = RpcError::new(-32022, "this version of the protocol is not supported");
        error["data"] = json!({ "supported": [STATELESS_VERSION], "requested": version });
        return Err(RpcError(error));
    }
    if !meta[CAPABILITIES_KEY].is_object() {
        return Err(RpcError::invalid(&format!("`_meta` needs {CAPABILITIES_KEY}")));
    }
    Ok(true)
}
