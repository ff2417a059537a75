//! Reading the JSON object a caller sent, with GitHub's own complaints and length limits.

use serde_json::{Map, Value};

use super::refusal::{Fault, Refusal};

const MAX_TITLE_CHARACTERS: usize = 256;
const MAX_BODY_CHARACTERS: usize = 65_536;

pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Refusal::invalid_request("The body is not an object.")),
            Err(_) => Err(Refusal::unreadable_json()),
        }
    }

    /// `None` when the field is left out, `Some(None)` when it is null.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Option<String>>, Refusal> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) => Ok(Some(Some(text.clone()))),
            Some(other) => Err(Refusal::invalid_request(&format!("For 'properties/{name}', {other} is not a string."))),
        }
    }

    pub(crate) fn required(&self, name: &str) -> Result<String, Refusal> {
        self.text(name)?.flatten().ok_or_else(|| Refusal::invalid_request(&format!("\"{name}\" wasn't supplied.")))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => {
                Err(Refusal::invalid_request(&format!("For 'properties/{name}', {other} is not a boolean.")))
            }
        }
    }
}

/// What GitHub says of a title and a body, whoever sends them.
pub(crate) fn check_words(title: Option<&str>, body: Option<&str>) -> Result<(), Refusal> {
    let mut faults = Vec::new();
    if let Some(title) = title {
        if title.trim().is_empty() {
            faults.push(Fault::of_field("title", "missing_field"));
        }
        if title.chars().count() > MAX_TITLE_CHARACTERS {
            let message = format!("title is too long (maximum is {MAX_TITLE_CHARACTERS} characters)");
            faults.push(Fault::about("title", message));
        }
    }
    if body.is_some_and(|body| body.chars().count() > MAX_BODY_CHARACTERS) {
        let message = format!("body is too long (maximum is {MAX_BODY_CHARACTERS} characters)");
        faults.push(Fault::about("body", message));
    }
    if faults.is_empty() { Ok(()) } else { Err(Refusal::validation_failed(faults)) }
}
