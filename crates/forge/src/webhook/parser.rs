//! Parses an event's name and body into an [`Event`].

use serde_json::Value;

use super::{bitbucket, event::Event, github, source::WebhookSource, value::ParseError};

/// `body` has the verified bytes. Ignores unknown fields, events and actions, because forges add some.
/// Errors: `ParseError` for a body without the shape of its claimed event.
pub fn parse(language: WebhookSource, event_header: &str, body: &[u8]) -> Result<Event, ParseError> {
    let to_error = |fault: &str| ParseError::new("", fault);
    if !language.is_valid_name(event_header) {
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
    match language {
        WebhookSource::GitHub => github::parse_event(event_header, &value),
        WebhookSource::Bitbucket => bitbucket::parse_event(event_header, &value),
    }
}
