//! What was asked, in the order in which it came. A key is never kept, only whether one was there, and by what to know
//! it again.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
    io::Read,
};

use axum::http::{HeaderMap, Method, Uri};
use serde_json::Value;
use tokio::sync::watch;

/// Of a packed body, unpacked. Units: bytes.
const LARGEST_BODY: u64 = 64 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Such as `POST`.
    pub method: String,
    pub path: String,
    /// Null without a body; text where the body is not JSON.
    pub body: Value,
    pub credential: Credential,
    signed_with: Option<u64>,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    Missing,
    /// By `x-api-key`.
    ApiKey,
    /// By `authorization: Bearer`.
    Bearer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The script's answer was sent, whole or not.
    Answered,
    /// The script's refusal was sent, with this status.
    Refused(u16),
    Reset,
    Hung,
    /// It asked for an answer, and the script was used up.
    NothingLeft,
    /// It needs no step: a look whether somebody is there, or a count of tokens.
    Aside,
    NotServed,
}

impl Outcome {
    /// Whether it took a step of the script, or wanted one.
    pub fn is_a_turn(self) -> bool {
        !matches!(self, Self::Aside | Self::NotServed)
    }
}

impl Request {
    pub(crate) fn new(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8], outcome: Outcome) -> Self {
        let header = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let (credential, key) = match (header("x-api-key"), header("authorization")) {
            (Some(key), _) => (Credential::ApiKey, Some(key)),
            (None, Some(words)) => (Credential::Bearer, words.strip_prefix("Bearer ").map(str::to_owned)),
            (None, None) => (Credential::Missing, None),
        };
        let signed_with = key.as_deref().map(fingerprint);
        let body = if header("content-encoding").as_deref() == Some("zstd") { unpacked(body) } else { body.into() };
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or_else(|_| text()) };
        Self { method: method.to_string(), path: uri.to_string(), body, credential, signed_with, outcome }
    }

    /// Whether it was signed in with this key or token.
    pub fn is_signed_with(&self, key: &str) -> bool {
        self.signed_with == Some(fingerprint(key))
    }

    /// Whether some text in the body has these words.
    pub fn mentions(&self, words: &str) -> bool {
        mentions(&self.body, words)
    }
}

/// A Codex that speaks to ChatGPT packs what it says. What can't be unpacked is kept as it came.
fn unpacked(body: &[u8]) -> Cow<'_, [u8]> {
    let mut unpacked = Vec::new();
    let read = zstd::Decoder::new(body).and_then(|packed| packed.take(LARGEST_BODY).read_to_end(&mut unpacked));
    if read.is_ok() { unpacked.into() } else { body.into() }
}

fn fingerprint(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn mentions(value: &Value, words: &str) -> bool {
    match value {
        Value::String(text) => text.contains(words),
        Value::Array(values) => values.iter().any(|value| mentions(value, words)),
        Value::Object(fields) => fields.values().any(|value| mentions(value, words)),
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

    /// Returns its number, from one.
    pub(crate) fn add(&self, request: Request) -> usize {
        let mut number = 0;
        self.requests.send_modify(|requests| {
            requests.push(request);
            number = requests.len();
        });
        number
    }

    pub(crate) fn all(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    pub(crate) async fn wait_for(&self, seen: impl Fn(&[Request]) -> bool) -> Vec<Request> {
        let mut requests = self.requests.subscribe();
        match requests.wait_for(|requests| seen(requests)).await {
            Ok(requests) => requests.clone(),
            // The sender is ours: it is not gone while we are here.
            Err(_) => self.all(),
        }
    }
}
