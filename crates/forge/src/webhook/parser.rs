//! Parses the name and the body of a delivery into an [`Event`].

use serde_json::Value;

use super::{event::Event, value::ParseError};
use crate::forge::vendor;
use pullyard_domain::project::forge::ForgeKind;

const MAX_NAME_BYTES: usize = 64;

/// Whether it has only letters, digits and these marks.
pub(crate) fn is_event_name(name: &str, marks: &[u8]) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain)
}

/// `body` has the verified bytes. Ignores unknown fields, events and actions, because forges add some.
/// Errors: `ParseError` for a body without the shape of its claimed event.
pub fn parse(kind: ForgeKind, event_header: &str, body: &[u8]) -> Result<Event, ParseError> {
    let to_error = |fault: &str| ParseError::new("", fault);
    let vendor = vendor(kind);
    if !(vendor.is_event_name)(event_header) {
        return Err(to_error("the header has no event"));
    }
    let value: Value = serde_json::from_slice(body).map_err(|_| {
        to_error(if body.starts_with(b"payload=") {
            "it is a form; set the webhook's content type to application/json"
        } else {
            "it is not JSON"
        })
    })?;
    if !value.is_object() {
        return Err(to_error("it is not an object"));
    }
    (vendor.parse_event)(event_header, &value)
}
