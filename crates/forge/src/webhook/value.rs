//! Reads a JSON body; errors contain the position but never the content.

use serde_json::{Map, Value};

use crate::Time;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the body at {pointer:?}: {fault}")]
pub struct Unreadable {
    pub pointer: String,
    pub fault: String,
}

pub(super) struct At<'a> {
    value: &'a Value,
    pointer: String,
}

impl<'a> At<'a> {
    pub(super) fn top(value: &'a Value) -> Self {
        Self { value, pointer: String::new() }
    }

    pub(super) fn fault(&self, fault: impl Into<String>) -> Unreadable {
        Unreadable { pointer: self.pointer.clone(), fault: fault.into() }
    }

    fn not(&self, wanted: &str) -> Unreadable {
        let is = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) if wanted.contains("number") => "another number",
            Value::Number(_) => "a number",
            Value::String(_) if wanted.contains("text") => "another text",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.fault(format!("it is {is}, not {wanted}"))
    }

    fn below(&self, name: &str, value: &'a Value) -> Self {
        Self { value, pointer: format!("{}/{name}", self.pointer) }
    }

    fn object(&self) -> Result<&'a Map<String, Value>, Unreadable> {
        self.value.as_object().ok_or_else(|| self.not("an object"))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.value.as_object().into_iter().flat_map(|object| object.keys().map(String::as_str))
    }

    pub(super) fn field(&self, name: &str) -> Result<Self, Unreadable> {
        let value = self.object()?.get(name).ok_or_else(|| Unreadable {
            pointer: format!("{}/{name}", self.pointer),
            fault: "it is missing".to_owned(),
        })?;
        Ok(self.below(name, value))
    }

    pub(super) fn maybe(&self, name: &str) -> Result<Option<Self>, Unreadable> {
        let value = self.object()?.get(name).filter(|value| !value.is_null());
        Ok(value.map(|value| self.below(name, value)))
    }

    pub(super) fn each(&self) -> Result<Vec<Self>, Unreadable> {
        let list = self.value.as_array().ok_or_else(|| self.not("a list"))?;
        Ok(list.iter().enumerate().map(|(index, value)| self.below(&index.to_string(), value)).collect())
    }

    pub(super) fn text(&self) -> Result<&'a str, Unreadable> {
        self.value.as_str().ok_or_else(|| self.not("a text"))
    }

    pub(super) fn id(&self) -> Result<u64, Unreadable> {
        self.value.as_u64().ok_or_else(|| self.not("a whole number"))
    }

    pub(super) fn flag(&self) -> Result<bool, Unreadable> {
        self.value.as_bool().ok_or_else(|| self.not("a boolean"))
    }

    pub(super) fn time(&self) -> Result<Time, Unreadable> {
        Time::parse(self.text()?).ok_or_else(|| self.not("a time as RFC 3339 text"))
    }
}

pub(super) fn owned(at: &At<'_>, name: &str) -> Result<String, Unreadable> {
    Ok(at.field(name)?.text()?.to_owned())
}

pub(super) fn text_or_nothing(at: &At<'_>, name: &str) -> Result<String, Unreadable> {
    Ok(at.maybe(name)?.map_or(Ok(""), |text| text.text())?.to_owned())
}
