//! Parses a line of the `command` agent.
//!
//! On standard output, a JSON object with a known `kind` becomes that event, and with another `kind` a `raw` event. Any
//! other line is `text`. Standard error is `log`.

use crate::api::said::Said;
use pullyard_protocol::event::EventKind;
use serde_json::{Map, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// The event of a line; `None` for an empty line.
pub(super) fn read(stream: Stream, line: &[u8]) -> Option<Said> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    if text.is_empty() {
        return None;
    }
    if stream == Stream::Err {
        return Some(Said::words(EventKind::Log, text));
    }
    if text.starts_with('{')
        && let Ok(Value::Object(mut object)) = serde_json::from_str(text)
        && object.contains_key("kind")
    {
        return Some(match object.get("kind").and_then(Value::as_str).and_then(known) {
            Some(kind) => {
                object.remove("kind");
                of_object(kind, object)
            }
            None => Said { data: Some(Value::Object(object)), ..Said::new(EventKind::Raw) },
        });
    }
    Some(Said::words(EventKind::Text, text))
}

/// The kinds of events that an agent may report. Phases and logs are the runner's.
fn known(kind: &str) -> Option<EventKind> {
    Some(match kind {
        "text" => EventKind::Text,
        "tool_call" => EventKind::ToolCall,
        "tool_result" => EventKind::ToolResult,
        "file_edit" => EventKind::FileEdit,
        "command" => EventKind::Command,
        "question" => EventKind::Question,
        "usage" => EventKind::Usage,
        "result" => EventKind::Result,
        _ => return None,
    })
}

fn of_object(kind: EventKind, mut object: Map<String, Value>) -> Said {
    let mut text = |name: &str| match object.remove(name) {
        Some(Value::String(text)) => Some(text),
        Some(other) => {
            object.insert(name.to_owned(), other);
            None
        }
        None => None,
    };
    let mut said =
        Said { text: text("text"), name: text("name"), path: text("path"), call: text("call"), ..Said::new(kind) };
    said.data = (!object.is_empty()).then_some(Value::Object(object));
    said
}

pub(super) fn kind_name(kind: EventKind) -> String {
    let name = serde_json::to_value(kind).ok();
    name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn out(line: &str) -> Said {
        read(Stream::Out, line.as_bytes()).unwrap()
    }

    #[test]
    fn known_kinds_are_events_with_the_rest_as_data() {
        let said = out(r#"{"kind":"tool_call","name":"bash","call":"c1","text":5,"input":{"a":1}}"#);
        assert_eq!(
            (said.kind, said.name.as_deref(), said.call.as_deref()),
            (EventKind::ToolCall, Some("bash"), Some("c1"))
        );
        assert_eq!((said.text, said.data), (None, Some(json!({"text": 5, "input": {"a": 1}}))));
        let said = out(r#"{"kind":"text","text":"hi"}"#);
        assert_eq!((said.kind, said.text.as_deref(), said.data), (EventKind::Text, Some("hi"), None));
        for kind in ["text", "tool_call", "tool_result", "file_edit", "command", "question", "usage", "result"] {
            assert_eq!(kind_name(out(&format!(r#"{{"kind":"{kind}"}}"#)).kind), kind);
        }
    }

    #[test]
    fn unknown_kinds_are_raw_and_plain_lines_are_text() {
        for unknown in [r#"{"kind":"phase","name":"syncing"}"#, r#"{"kind":"log"}"#, r#"{"kind":7}"#] {
            let said = out(unknown);
            assert_eq!(said.kind, EventKind::Raw, "{unknown}");
            assert_eq!(said.data, serde_json::from_str(unknown).ok());
        }
        for text in ["hello", "{not json", r#"{"a":1}"#, "[1]", "\"kind\""] {
            let said = out(text);
            assert_eq!((said.kind, said.text.as_deref()), (EventKind::Text, Some(text)));
        }
        let said = read(Stream::Err, br#"{"kind":"text"}"#).unwrap();
        assert_eq!(said.kind, EventKind::Log);
        assert_eq!(read(Stream::Out, b"  \r"), None);
        assert_eq!(out("a\u{fffd}").text.as_deref(), Some("a\u{fffd}"));
    }
}
