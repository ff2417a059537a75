//! Reads typed values from the JSON body of a webhook. Errors contain the JSON pointer but never the content.

use serde_json::{Map, Value};

use crate::Time;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the body at {pointer:?}: {fault}")]
pub struct ParseError {
    pub pointer: String,
    pub fault: String,
}

pub(super) struct JsonCursor<'a> {
    value: &'a Value,
    pointer: String,
}

impl<'a> JsonCursor<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, pointer: String::new() }
    }

    pub(super) fn error(&self, fault: impl Into<String>) -> ParseError {
        ParseError { pointer: self.pointer.clone(), fault: fault.into() }
    }

    fn type_error(&self, expected: &str) -> ParseError {
        let actual = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) if expected.contains("number") => "another number",
            Value::Number(_) => "a number",
            Value::String(_) if expected.contains("text") => "another text",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.error(format!("it is {actual}, not {expected}"))
    }

    fn child(&self, name: &str, value: &'a Value) -> Self {
        Self { value, pointer: format!("{}/{name}", self.pointer) }
    }

    fn object(&self) -> Result<&'a Map<String, Value>, ParseError> {
        self.value.as_object().ok_or_else(|| self.type_error("an object"))
    }

    /// Empty if the value is no object.
    pub(super) fn field_names(&self) -> impl Iterator<Item = &'a str> {
        self.value.as_object().into_iter().flat_map(|object| object.keys().map(String::as_str))
    }

    pub(super) fn field(&self, name: &str) -> Result<Self, ParseError> {
        let value = self.object()?.get(name).ok_or_else(|| ParseError {
            pointer: format!("{}/{name}", self.pointer),
            fault: "it is missing".to_owned(),
        })?;
        Ok(self.child(name, value))
    }

    /// `None` also for `null`: forges send it for an empty review body or a deleted account.
    pub(super) fn optional_field(&self, name: &str) -> Result<Option<Self>, ParseError> {
        let value = self.object()?.get(name).filter(|value| !value.is_null());
        Ok(value.map(|value| self.child(name, value)))
    }

    pub(super) fn elements(&self) -> Result<Vec<Self>, ParseError> {
        let list = self.value.as_array().ok_or_else(|| self.type_error("a list"))?;
        Ok(list.iter().enumerate().map(|(index, value)| self.child(&index.to_string(), value)).collect())
    }

    pub(super) fn text(&self) -> Result<&'a str, ParseError> {
        self.value.as_str().ok_or_else(|| self.type_error("a text"))
    }

    pub(super) fn id(&self) -> Result<u64, ParseError> {
        self.value.as_u64().ok_or_else(|| self.type_error("a whole number"))
    }

    pub(super) fn flag(&self) -> Result<bool, ParseError> {
        self.value.as_bool().ok_or_else(|| self.type_error("a boolean"))
    }

    pub(super) fn time(&self) -> Result<Time, ParseError> {
        Time::parse(self.text()?).ok_or_else(|| self.type_error("a time as RFC 3339 text"))
    }
}

pub(super) fn string_field(at: &JsonCursor<'_>, name: &str) -> Result<String, ParseError> {
    Ok(at.field(name)?.text()?.to_owned())
}

pub(super) fn optional_string_field(at: &JsonCursor<'_>, name: &str) -> Result<String, ParseError> {
    Ok(at.optional_field(name)?.map_or(Ok(""), |text| text.text())?.to_owned())
}
