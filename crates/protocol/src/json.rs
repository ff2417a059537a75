//! Parses JSON strictly; errors name the position of unknown or doubled fields and wrong types.

mod unique_keys;

use pullyard_domain::text::truncate;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use unique_keys::UniqueKeys;

/// Limit for the pointer and the message of an error, because both may quote the document. Units: characters.
const MAX_FAULT_CHARS: usize = 300;

/// A fault of a document, and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer (RFC 6901); empty for the whole document.
    pub pointer: String,
    /// The fault without its position, such as "missing field `title`".
    pub message: String,
}

/// Parses one JSON object. Refuses repeated keys and private keys of serde_json, at every depth.
/// Errors: the first fault.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, FieldError> {
    // Serde would accept an array with the fields' values in order.
    if body.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(FieldError { pointer: String::new(), message: "it is not a JSON object".into() });
    }
    read::<UniqueKeys>(body)?;
    read(body)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, FieldError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let message = error.inner().to_string();
        // The JSON pointer replaces the position in the text.
        let fault = message.rsplit_once(" at line ").map_or(message.as_str(), |(fault, _)| fault);
        let fault = if fault == "recursion limit exceeded" { "use fewer levels of objects and lists" } else { fault };
        // A field's name may be as long as the body.
        FieldError {
            pointer: truncate(&pointer(error.path(), fault), MAX_FAULT_CHARS),
            message: truncate(fault, MAX_FAULT_CHARS),
        }
    })?;
    json.end().map_err(|_| FieldError {
        pointer: String::new(),
        message: "there is extra text after the JSON value".into(),
    })?;
    Ok(value)
}

/// The path as a JSON pointer (RFC 6901), with the name of an unknown, missing or doubled field at its end.
fn pointer(path: &Path, fault: &str) -> String {
    let mut pointer = String::new();
    let push = |pointer: &mut String, part: &str| {
        pointer.push('/');
        pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
    };
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            Segment::Enum { variant } => push(&mut pointer, variant),
            Segment::Unknown => {}
        }
    }
    let quoted = |start: &str| fault.strip_prefix(start).and_then(|rest| rest.split('`').next());
    let field = ["missing field `", "unknown field `", "duplicate field `"].iter().find_map(|start| quoted(start));
    // Serde's path has an unknown field already, but not one that `UniqueKeys` refuses.
    if let Some(field) = field
        && !(fault.starts_with("unknown") && pointer.ends_with(&format!("/{field}")))
    {
        push(&mut pointer, field);
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::TicketEvent;

    const VALID_EVENT: &str = r#"{"event_id":"e","occurred_at":"2026-11-20T12:04:01Z","project":"acme",
        "ticket":{"key":"A-1","title":"t","status":"s"}}"#;

    fn check(change: impl Fn(&str) -> String, pointer: &str, fault: &str) {
        let found = parse::<TicketEvent>(change(VALID_EVENT).as_bytes()).unwrap_err();
        assert_eq!(found.pointer, pointer, "{}", found.message);
        assert!(found.message.contains(fault), "{}", found.message);
    }

    #[test]
    fn valid_body_is_parsed() {
        assert!(parse::<TicketEvent>(VALID_EVENT.as_bytes()).is_ok());
    }

    #[test]
    fn faults_are_reported_with_their_json_pointer() {
        check(|good| good.replace("\"title\"", "\"titel\""), "/ticket/titel", "unknown field");
        check(|good| good.replace("\"title\":\"t\",", ""), "/ticket/title", "missing field");
        check(|good| good.replace("\"t\"", "5"), "/ticket/title", "invalid type");
        check(|good| good.replace("2026-11-20T12:04:01Z", "today"), "/occurred_at", "not a time");
        check(|good| good.replace("\"acme\"", "\"Acme!\""), "/project", "lower-case");
        check(|good| good.replace("\"title\"", "\"key\":\"A-2\",\"title\""), "/ticket/key", "duplicate field `key`");
        check(|good| format!("{good} x"), "", "extra text after");
        check(|_| "{".into(), "", "EOF");
        check(|_| "[]".into(), "", "not a JSON object");
        check(
            |good| good.replace("title", &"x".repeat(9_000)),
            &format!("/ticket/{}…", "x".repeat(291)),
            "unknown field",
        );
    }

    #[test]
    fn doubled_key_of_a_map_is_reported_with_its_pointer() {
        let read = |text: &str| parse::<serde_json::Map<String, serde_json::Value>>(text.as_bytes());
        let valid = r#"{"a":[{"b":null,"c":-1},{"b":true,"c":0.5}],"b":{"a":"x"}}"#;
        assert!(read(valid).is_ok(), "other objects have the same keys");
        assert!(read(&"{\"a\":".repeat(200)).unwrap_err().message.contains("levels"));
        for (doubled, pointer) in [
            (r#"{"a":1,"a":1}"#, "/a"),
            (r#"{"a":{"a":1,"a":2}}"#, "/a/a"),
            (r#"{"a":[{"b":1},{"b":1,"c":{},"b":2}]}"#, "/a/1/b"),
            (r#"{"a":{"b":{"c":"x","\u0063":"y"}}}"#, "/a/b/c"),
        ] {
            let fault = read(doubled).unwrap_err();
            assert_eq!(fault.pointer, pointer, "{}", fault.message);
            assert!(fault.message.starts_with("duplicate field `"), "{}", fault.message);
        }
        let hidden = r#"{"a":{"$serde_json::private::RawValue":"{\"b\":1,\"b\":2}"}}"#;
        assert_eq!(read(hidden).unwrap_err().pointer, "/a/$serde_json::private::RawValue");
    }
}
