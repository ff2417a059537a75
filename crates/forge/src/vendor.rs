//! The functions, phrases and git login in which forges differ.

use crate::webhook::{Event, ParseError};
use serde_json::Value;
use std::fmt;

/// The functions of a forge that need no connection. Each forge has its own in its module.
pub(crate) struct Vendor {
    pub(crate) git_login: for<'a> fn(&'a str) -> GitLogin<'a>,
    pub(crate) is_event_name: fn(&str) -> bool,
    /// Its arguments are the event's name and the body, which is an object.
    pub(crate) parse_event: fn(&str, &Value) -> Result<Event, ParseError>,
    pub(crate) push_phrases: &'static PushPhrases,
}

/// The user and the password with which git uses a token over HTTPS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GitLogin<'a> {
    pub user: &'static str,
    /// The token, or the part of it that is secret.
    pub password: &'a str,
}

impl fmt::Debug for GitLogin<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("GitLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The phrases of a forge, in lower case unless stated otherwise. `parse_push_refusal` has the phrases of all forges.
pub(crate) struct PushPhrases {
    /// Mean a missing permission for workflows in a message with the word `workflow`.
    pub(crate) workflow: &'static [&'static str],
    pub(crate) secret: &'static [&'static str],
    pub(crate) protected: &'static [&'static str],
    /// Mark messages above a broken rule, in their own case.
    pub(crate) rule_headings: &'static [&'static str],
    /// Each is a list of phrases that occur together.
    pub(crate) denied: &'static [&'static [&'static str]],
}
