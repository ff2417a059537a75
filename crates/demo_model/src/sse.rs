//! Renders one server-sent event.

use bytes::Bytes;
use serde_json::Value;

pub(crate) fn event(data: &Value) -> Bytes {
    let name = data.get("type").and_then(Value::as_str).unwrap_or("message");
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// Splits a text into two deltas, so that tests detect a client which reads only the last delta.
pub(crate) fn split_half(text: &str) -> (&str, &str) {
    text.split_at(text.floor_char_boundary(text.len() / 2))
}
