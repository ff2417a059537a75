//! Parses an event's name and body into an [`Event`].

use serde_json::Value;

use super::{
    bitbucket,
    event::Event,
    github,
    language::Language,
    value::{At, Unreadable},
};

/// `event_header` is the event name from the header, `body` the verified bytes.
/// Ignores unknown fields, events and actions, because forges add some.
/// Errors: `Unreadable` for a body without the shape of its claimed event.
pub fn parse(language: Language, event_header: &str, body: &[u8]) -> Result<Event, Unreadable> {
    let whole = |fault: &str| Unreadable { pointer: String::new(), fault: fault.to_owned() };
    if !language.has(event_header) {
        return Err(whole("the header has no event"));
    }
    let value: Value = serde_json::from_slice(body).map_err(|_| {
        whole(if body.starts_with(b"payload=") {
            "it is a form; set the webhook's content type to application/json"
        } else {
            "it is not JSON"
        })
    })?;
    if !value.is_object() {
        return Err(whole("it is not an object"));
    }
    let body = At::top(&value);
    match language {
        Language::GitHub => github::said(event_header, &body),
        Language::Bitbucket => bitbucket::said(event_header, &body),
    }
}
