//! Parses lines that are JSON objects, for all agents. Each driver interprets the objects itself.

use super::agent_event::AgentEvent;
use crate::api::event_draft::EventDraft;
use pullyard_protocol::event::EventKind;
use serde_json::Value;
use std::path::Path;

/// Parses the object of a line with `parse`. Other text becomes a `raw` event; an empty line is skipped.
pub(super) fn parse_json_line(line: &[u8], parse: impl FnOnce(&Value) -> Vec<AgentEvent>) -> Vec<AgentEvent> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => parse(&object),
        _ => vec![AgentEvent::Event(EventDraft::text(EventKind::Raw, text))],
    }
}

pub(super) fn raw_event(object: &Value) -> AgentEvent {
    AgentEvent::Event(EventDraft { data: Some(object.clone()), ..EventDraft::new(EventKind::Raw) })
}

pub(super) fn text_field<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// The elements of a list; none without a list.
pub(super) fn list_field<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.get(name).and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn relative_path(tree: &Path, path: &str) -> String {
    let inner = Path::new(path).strip_prefix(tree).ok().and_then(Path::to_str);
    inner.unwrap_or(path).to_owned()
}
