//! From an event's name and a body to what was said.

use serde_json::Value;

use super::{
    bitbucket,
    event::Event,
    github,
    value::{At, Unreadable},
};

/// Longer words are no forge's name of an event.
const MAX_NAME_BYTES: usize = 64;

/// In whose headers and bodies a hook is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// GitHub's: `X-GitHub-Event` names the event, and `action` in the body what happened.
    GitHub,
    /// Bitbucket Cloud's: `X-Event-Key` names both.
    Bitbucket,
}

impl Language {
    /// Whether an event may have this name.
    pub(super) fn has(self, word: &str) -> bool {
        let marks: &[u8] = match self {
            Self::GitHub => b"_-.",
            Self::Bitbucket => b"_-.:",
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
        (1..=MAX_NAME_BYTES).contains(&word.len()) && word.bytes().all(plain)
    }
}

/// What the delivery says. `event_header` is what its header calls the event, `body` the bytes that were verified.
///
/// Fields that we don't use are ignored, as are events and actions that we don't act on; forges add both.
/// Errors: `Unreadable` for a body that has not the shape of the event it claims to be.
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
