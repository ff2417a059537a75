//! Reads typed fields of a webhook's JSON body. Errors contain the JSON pointer but never the content.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the body at {pointer:?}: {fault}")]
pub struct ParseError {
    pub pointer: String,
    pub fault: String,
}

impl ParseError {
    pub(crate) fn new(pointer: impl Into<String>, fault: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), fault: fault.into() }
    }

    pub(crate) fn missing(pointer: impl Into<String>) -> Self {
        Self::new(pointer, "it is missing")
    }

    fn from_serde(field: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let mut pointer = format!("/{field}");
        for segment in error.path() {
            match segment {
                Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
                Segment::Map { key } => pointer.push_str(&format!("/{key}")),
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        let message = error.inner().to_string();
        if let Some(name) = message.strip_prefix("missing field `") {
            return Self::missing(format!("{pointer}/{}", name.trim_end_matches('`')));
        }
        // serde repeats the content before this word, and only our types after it.
        let expected = match message.rsplit_once(", expected ").map(|(_, expected)| expected) {
            Some("u64") => "a whole number",
            Some(structure) if structure.starts_with("struct ") => "an object",
            Some(other) => other,
            None => "valid",
        };
        Self::new(pointer, format!("it is not {expected}"))
    }
}

pub(crate) fn field<T: DeserializeOwned>(body: &Value, name: &str) -> Result<T, ParseError> {
    let value = body.get(name).ok_or_else(|| ParseError::missing(format!("/{name}")))?;
    serde_path_to_error::deserialize(value).map_err(|error| ParseError::from_serde(name, &error))
}

/// `None` also for `null`.
pub(crate) fn optional_field<T: DeserializeOwned>(body: &Value, name: &str) -> Result<Option<T>, ParseError> {
    body.get(name).map_or(Ok(None), |_| field(body, name))
}
