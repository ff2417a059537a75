//! Verifies that a body has the shape of its claimed event.
//! Headers are not signed: otherwise a body could be replayed as another event, a deleted star as a deleted repository.

use serde_json::Value;

use super::value::ParseError;

const ENVELOPE: [&str; 7] = ["action", "changes", "repository", "sender", "organization", "installation", "enterprise"];

/// Requires exactly these subjects, of all that the forge's events may have. Other fields are ignored, because forges add
/// some.
pub(crate) fn check_subjects(all: &[&str], body: &Value, event: &str, subjects: &[&str]) -> Result<(), ParseError> {
    for subject in subjects {
        body.get(subject).ok_or_else(|| ParseError::missing(format!("/{subject}")))?;
    }
    match field_names(body).find(|name| all.contains(name) && !subjects.contains(name)) {
        Some(other) => Err(unexpected_field(event, other)),
        None => Ok(()),
    }
}

/// Allows only the listed fields, because repository events have no other distinguishing subject.
pub(crate) fn check_repository_fields(body: &Value) -> Result<(), ParseError> {
    match field_names(body).find(|name| !ENVELOPE.contains(name)) {
        Some(other) => Err(unexpected_field("repository", other)),
        None => Ok(()),
    }
}

fn field_names(body: &Value) -> impl Iterator<Item = &str> {
    body.as_object().into_iter().flat_map(|object| object.keys().map(String::as_str))
}

fn unexpected_field(event: &str, field: &str) -> ParseError {
    // The name comes from the body, so repeat it only if it is plain.
    let is_plain = field.len() <= 40 && field.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let field = if is_plain { format!("the field {field}") } else { "a field".to_owned() };
    ParseError::new("", format!("it has {field}, which a {event} event never has"))
}
