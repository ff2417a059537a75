//! Server-sent events, one at a time.

use bytes::Bytes;
use serde_json::Value;

/// One event as it goes over the wire, named by the `type` in it.
pub(crate) fn event(data: &Value) -> Bytes {
    let name = data.get("type").and_then(Value::as_str).unwrap_or("message");
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// Words in two halves, so that a reader who keeps only the last one is found out.
pub(crate) fn halves(words: &str) -> (&str, &str) {
    words.split_at(words.floor_char_boundary(words.len() / 2))
}
