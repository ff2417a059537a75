//! Parses a line of the `command` agent.
//! On standard output, a JSON object becomes an event of its `kind` or `raw`, any other line `text` with the
//! name `stdout`.
//! A line of standard error becomes `log`.

use crate::api::event_draft::EventDraft;
use pullyard_protocol::event::{EventKind, PLAIN_LINE};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

pub(super) fn parse_line(stream: Stream, line: &[u8]) -> Option<EventDraft> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    if text.is_empty() {
        return None;
    }
    if stream == Stream::Err {
        return Some(EventDraft::text(EventKind::Log, text));
    }
    if text.starts_with('{')
        && let Ok(Value::Object(mut object)) = serde_json::from_str(text)
        && object.contains_key("kind")
    {
        return Some(match object.get("kind").and_then(parse_kind) {
            Some(kind) => {
                object.remove("kind");
                event_from_object(kind, object)
            }
            None => EventDraft { data: Some(Value::Object(object)), ..EventDraft::new(EventKind::Raw) },
        });
    }
    Some(EventDraft { name: Some(PLAIN_LINE.into()), ..EventDraft::text(EventKind::Text, text) })
}

/// The kind that an agent may send. The others are the runner's.
fn parse_kind(kind: &Value) -> Option<EventKind> {
    use EventKind::{Command, FileEdit, Question, Result, Text, ToolCall, ToolResult, Usage};
    let kind = EventKind::deserialize(kind).ok()?;
    matches!(kind, Text | ToolCall | ToolResult | FileEdit | Command | Question | Usage | Result).then_some(kind)
}

fn event_from_object(kind: EventKind, mut object: Map<String, Value>) -> EventDraft {
    let mut text = |name: &str| match object.remove(name) {
        Some(Value::String(text)) => Some(text),
        Some(other) => {
            object.insert(name.to_owned(), other);
            None
        }
        None => None,
    };
    let mut draft = EventDraft {
        text: text("text"),
        name: text("name"),
        path: text("path"),
        call: text("call"),
        ..EventDraft::new(kind)
    };
    draft.data = (!object.is_empty()).then_some(Value::Object(object));
    draft
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::variant_name::variant_name;
    use serde_json::json;

    fn parse_stdout(line: &str) -> EventDraft {
        parse_line(Stream::Out, line.as_bytes()).unwrap()
    }

    #[test]
    fn known_kinds_are_events_with_the_rest_as_data() {
        let event = parse_stdout(r#"{"kind":"tool_call","name":"bash","call":"c1","text":5,"input":{"a":1}}"#);
        assert_eq!(
            (event.kind, event.name.as_deref(), event.call.as_deref()),
            (EventKind::ToolCall, Some("bash"), Some("c1"))
        );
        assert_eq!((event.text, event.data), (None, Some(json!({"text": 5, "input": {"a": 1}}))));
        let event = parse_stdout(r#"{"kind":"text","text":"hi"}"#);
        assert_eq!((event.kind, event.text.as_deref(), event.data), (EventKind::Text, Some("hi"), None));
        for kind in ["text", "tool_call", "tool_result", "file_edit", "command", "question", "usage", "result"] {
            assert_eq!(variant_name(parse_stdout(&format!(r#"{{"kind":"{kind}"}}"#)).kind), kind);
        }
    }

    #[test]
    fn unknown_kinds_are_raw_and_plain_lines_are_text() {
        for unknown in [r#"{"kind":"phase","name":"syncing"}"#, r#"{"kind":"log"}"#, r#"{"kind":7}"#] {
            let event = parse_stdout(unknown);
            assert_eq!(event.kind, EventKind::Raw, "{unknown}");
            assert_eq!(event.data, serde_json::from_str(unknown).ok());
        }
        for text in ["hello", "{not json", r#"{"a":1}"#, "[1]", "\"kind\""] {
            let event = parse_stdout(text);
            let expected = (EventKind::Text, Some(PLAIN_LINE), Some(text));
            assert_eq!((event.kind, event.name.as_deref(), event.text.as_deref()), expected);
        }
        let event = parse_line(Stream::Err, br#"{"kind":"text"}"#).unwrap();
        assert_eq!(event.kind, EventKind::Log);
        assert_eq!(parse_line(Stream::Out, b"  \r"), None);
        assert_eq!(parse_stdout("a\u{fffd}").text.as_deref(), Some("a\u{fffd}"));
    }
}
