//! The log of requests, in the order of their arrival. It stores a fingerprint of each key, never the key.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use axum::http::{HeaderMap, Method, Uri};
use serde_json::Value;
use tokio::sync::watch;

const LARGEST_BODY: u64 = 64 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Null without a body; a string if the body is not JSON.
    pub body: Value,
    pub credential: Credential,
    key_fingerprint: Option<u64>,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    Missing,
    ApiKey,
    Bearer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    Refused(u16),
    Reset,
    Hung,
    ScriptEmpty,
    /// A request that needs no step, such as a health check or a count of tokens.
    NoStep,
    NotServed,
}

impl Outcome {
    /// Whether the request was one to the model, which consumes a step of the script.
    pub fn is_model_call(self) -> bool {
        !matches!(self, Self::NoStep | Self::NotServed)
    }
}

impl Request {
    pub(crate) fn new(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8], outcome: Outcome) -> Self {
        let header = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let (credential, key) = match (header("x-api-key"), header("authorization")) {
            (Some(key), _) => (Credential::ApiKey, Some(key)),
            (None, Some(authorization)) => {
                (Credential::Bearer, authorization.strip_prefix("Bearer ").map(str::to_owned))
            }
            (None, None) => (Credential::Missing, None),
        };
        let signed_with = key.as_deref().map(fingerprint);
        let body = if header("content-encoding").as_deref() == Some("zstd") { decompress(body) } else { body.into() };
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or_else(|_| text()) };
        Self {
            method: method.to_string(),
            path: uri.to_string(),
            body,
            credential,
            key_fingerprint: signed_with,
            outcome,
        }
    }

    pub fn has_credential(&self, key: &str) -> bool {
        self.key_fingerprint == Some(fingerprint(key))
    }

    pub fn contains_text(&self, text: &str) -> bool {
        contains_text(&self.body, text)
    }
}

/// Decompresses a body from Codex, which uses zstd for ChatGPT. Returns the bytes unchanged if that fails.
fn decompress(body: &[u8]) -> Cow<'_, [u8]> {
    let mut unpacked = Vec::new();
    let read = zstd::Decoder::new(body).and_then(|packed| packed.take(LARGEST_BODY).read_to_end(&mut unpacked));
    if read.is_ok() { unpacked.into() } else { body.into() }
}

fn fingerprint(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn contains_text(value: &Value, needle: &str) -> bool {
    match value {
        Value::String(text) => text.contains(needle),
        Value::Array(values) => values.iter().any(|value| contains_text(value, needle)),
        Value::Object(fields) => fields.values().any(|value| contains_text(value, needle)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    requests: watch::Sender<Vec<Request>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { requests: watch::Sender::new(Vec::new()) }
    }

    /// Appends a request and returns its number, which counts from one.
    pub(crate) fn add(&self, request: Request) -> usize {
        let mut number = 0;
        self.requests.send_modify(|requests| {
            requests.push(request);
            number = requests.len();
        });
        number
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    pub(crate) async fn wait_for(&self, seen: impl Fn(&[Request]) -> bool) -> Vec<Request> {
        let mut requests = self.requests.subscribe();
        match requests.wait_for(|requests| seen(requests)).await {
            Ok(requests) => requests.clone(),
            // `self` holds the sender, so the channel is never closed here.
            Err(_) => self.requests(),
        }
    }
}
