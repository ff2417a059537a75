//! Parses an event's name and body into an [`Event`].

use serde_json::Value;

use super::{
    bitbucket,
    event::Event,
    github,
    value::{At, Unreadable},
};

/// Longer than any forge's event name.
const MAX_NAME_BYTES: usize = 64;

/// The forge whose headers and bodies a delivery uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `X-GitHub-Event` names the event, `action` in the body the change.
    GitHub,
    /// `X-Event-Key` names both.
    Bitbucket,
}

impl Language {
    pub(super) fn has(self, word: &str) -> bool {
        let marks: &[u8] = match self {
            Self::GitHub => b"_-.",
            Self::Bitbucket => b"_-.:",
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
        (1..=MAX_NAME_BYTES).contains(&word.len()) && word.bytes().all(plain)
    }
}

/// `event_header` is the header's event name, `body` the verified bytes.
/// Unknown fields, events and actions are ignored, because forges add some.
/// Errors: `Unreadable` for a body without the shape of its claimed event.
pub fn parse(language: Language, event_header: &str, body: &[u8]) -> Result<Event, Unreadable> {
    let whole = |fault: &str| Unreadable { pointer: String::new(), fault: fault.to_owned() };
    if !language.has(event_header) {
        return Err(whole("the header names no event"));
    }
    let value: Value = serde_json::from_slice(body).map_err(|_| {
        whole(if body.starts_with(b"payload=") {
            "it is a form; the hook's content type must be application/json"
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

pub(super) fn owned(at: &At<'_>, name: &str) -> Result<String, Unreadable> {
    Ok(at.field(name)?.text()?.to_owned())
}

pub(super) fn text_or_nothing(at: &At<'_>, name: &str) -> Result<String, Unreadable> {
    Ok(at.maybe(name)?.map_or(Ok(""), |text| text.text())?.to_owned())
}
