//! Parses JSON bodies with GitHub's messages and length limits.

use serde_json::{Map, Value};

use super::refusal::{ApiError, ErrorDetail};

const MAX_TITLE_CHARACTERS: usize = 256;
const MAX_BODY_CHARACTERS: usize = 65_536;

pub struct Fields(Map<String, Value>);

impl Fields {
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(ApiError::invalid_request("The body is not an object.")),
            Err(_) => Err(ApiError::unreadable_json()),
        }
    }

    /// Returns `None` for a missing field, `Some(None)` for null.
    pub fn text(&self, name: &str) -> Result<Option<Option<String>>, ApiError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) => Ok(Some(Some(text.clone()))),
            Some(other) => {
                Err(ApiError::invalid_request(&format!("For 'properties/{name}', {other} is not a string.")))
            }
        }
    }

    pub fn required(&self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.flatten().ok_or_else(|| ApiError::invalid_request(&format!("\"{name}\" wasn't supplied.")))
    }

    pub fn texts(&self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        let wrong = |value: &Value| {
            ApiError::invalid_request(&format!("For 'properties/{name}', {value} is not an array of strings."))
        };
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value @ Value::Array(list)) => {
                let texts: Option<_> = list.iter().map(|text| text.as_str().map(str::to_owned)).collect();
                texts.map(Some).ok_or_else(|| wrong(value))
            }
            Some(value) => Err(wrong(value)),
        }
    }

    pub fn object(&self, name: &str) -> Result<Self, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(Self(Map::new())),
            Some(Value::Object(fields)) => Ok(Self(fields.clone())),
            Some(other) => {
                Err(ApiError::invalid_request(&format!("For 'properties/{name}', {other} is not an object.")))
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => {
                Err(ApiError::invalid_request(&format!("For 'properties/{name}', {other} is not a boolean.")))
            }
        }
    }
}

pub fn check_lengths(title: Option<&str>, body: Option<&str>) -> Result<(), ApiError> {
    let mut faults = Vec::new();
    if let Some(title) = title {
        if title.trim().is_empty() {
            faults.push(ErrorDetail::of_field("title", "missing_field"));
        }
        if title.chars().count() > MAX_TITLE_CHARACTERS {
            let message = format!("title is too long (maximum is {MAX_TITLE_CHARACTERS} characters)");
            faults.push(ErrorDetail::custom_for_field("title", message));
        }
    }
    if body.is_some_and(|body| body.chars().count() > MAX_BODY_CHARACTERS) {
        let message = format!("body is too long (maximum is {MAX_BODY_CHARACTERS} characters)");
        faults.push(ErrorDetail::custom_for_field("body", message));
    }
    if faults.is_empty() { Ok(()) } else { Err(ApiError::validation_failed(faults)) }
}
