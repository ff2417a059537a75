//! Parses the name and the body of a delivery into an [`Event`].

use serde_json::Value;

use super::{bitbucket, event::Event, github, value::ParseError};

const MAX_NAME_BYTES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookSource {
    /// `X-GitHub-Event` names the event, `action` in the body names the change.
    GitHub,
    /// `X-Event-Key` names both.
    Bitbucket,
}

impl WebhookSource {
    pub(super) fn is_valid_name(self, name: &str) -> bool {
        let marks: &[u8] = match self {
            Self::GitHub => b"_-.",
            Self::Bitbucket => b"_-.:",
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
        (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain)
    }
}

/// `body` has the verified bytes. Ignores unknown fields, events and actions, because forges add some.
/// Errors: `ParseError` for a body without the shape of its claimed event.
pub fn parse(source: WebhookSource, event_header: &str, body: &[u8]) -> Result<Event, ParseError> {
    let to_error = |fault: &str| ParseError::new("", fault);
    if !source.is_valid_name(event_header) {
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
    match source {
        WebhookSource::GitHub => github::parse_event(event_header, &value),
        WebhookSource::Bitbucket => bitbucket::parse_event(event_header, &value),
    }
}
