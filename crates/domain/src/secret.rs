//! What secrets that people set are for, and what a token can be. Values are kept elsewhere.

use serde::{Deserialize, Serialize};

/// What a secret is for: who may read its value follows from it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// To speak to a forge, or to hear from it: tokens, Apps' keys, webhooks' secrets.
    #[default]
    Forge,
    /// What jobs alone are given: models' keys, and those that commits are signed with.
    Job,
}

impl SecretKind {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Forge, Self::Job];

    /// What stands before a secret's own name in its whole one, after the deployment's: roles are limited by it.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Forge => "user/",
            Self::Job => "job/",
        }
    }
}

/// What keeps a value from being a token or a model's key, each of which is one word of ASCII; none where nothing does.
///
/// It reads after the name of the value, and has nothing of the value in it.
pub fn flaw_of_token(value: &str) -> Option<&'static str> {
    let word = value.trim();
    if word.is_empty() {
        return Some("is empty");
    }
    match word.chars().find(|letter| !letter.is_ascii_graphic()) {
        Some('\n' | '\r') => Some("has a line's end inside"),
        Some(letter) if letter.is_whitespace() => Some("has a space inside"),
        Some(letter) if letter.is_control() => Some("has a control character inside"),
        Some(_) => Some("has a character inside that is not ASCII"),
        None if value.ends_with(['\n', '\r']) => Some("ends with a line's end"),
        None if word.len() < value.len() => Some("begins or ends with a space"),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::flaw_of_token;

    #[test]
    fn what_keeps_a_value_from_being_a_token_is_said_without_it() {
        for good in ["ghp_a-b.c", "ann@acme.example:ATATT3x-a=1F", "x"] {
            assert_eq!(flaw_of_token(good), None, "{good}");
        }
        for (value, flaw) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("gh p", "has a space inside"),
            ("gh\tp", "has a space inside"),
            ("gh\u{a0}p", "has a space inside"),
            ("gh p\n", "has a space inside"),
            ("gh\np", "has a line's end inside"),
            ("gh\r\np", "has a line's end inside"),
            ("gh\u{7f}p", "has a control character inside"),
            ("ghü", "has a character inside that is not ASCII"),
            // What some editors write before a text.
            ("\u{feff}ghp", "has a character inside that is not ASCII"),
            ("ghp\n", "ends with a line's end"),
            ("ghp\r\n", "ends with a line's end"),
            ("ghp ", "begins or ends with a space"),
            (" ghp", "begins or ends with a space"),
            ("\nghp", "begins or ends with a space"),
        ] {
            assert_eq!(flaw_of_token(value), Some(flaw), "{value:?}");
        }
    }
}
