//! The author of the commits of a project's jobs, and the key that signs them.

use serde::{Deserialize, Serialize};

pub const DEFAULT_NAME: &str = "Pullyard";
pub const DEFAULT_EMAIL: &str = "pullyard@users.noreply.github.com";
pub(crate) const MAX_CHARS: usize = 100;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Commits")]
#[serde(default, deny_unknown_fields)]
pub struct CommitSettings {
    /// Author and committer; "Pullyard" if absent.
    pub name: Option<String>,
    /// Their email address. For a verified signature, a forge requires an address of the key's account.
    pub email: Option<String>,
    /// The secret with the SSH key that signs commits, without a passphrase. If absent, commits are not signed.
    pub signing_secret: Option<String>,
}

/// Author and committer of one job's commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Author {
    pub name: String,
    pub email: String,
}

impl Default for Author {
    fn default() -> Self {
        Self { name: DEFAULT_NAME.into(), email: DEFAULT_EMAIL.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Settings;

    fn settings_with_author(name: Option<&str>, email: Option<&str>) -> Settings {
        let commits =
            CommitSettings { name: name.map(str::to_owned), email: email.map(str::to_owned), signing_secret: None };
        Settings { commits, ..Settings::default() }
    }

    #[test]
    fn commit_author_falls_back_to_the_default_per_field() {
        assert_eq!(Author::from_settings(&Settings::default()), None);
        let author = Author::from_settings(&settings_with_author(Some("Acme Bot"), None)).unwrap();
        assert_eq!((author.name.as_str(), author.email.as_str()), ("Acme Bot", DEFAULT_EMAIL));
        let author = Author::from_settings(&settings_with_author(None, Some("bot@acme.example"))).unwrap();
        assert_eq!((author.name.as_str(), author.email.as_str()), (DEFAULT_NAME, "bot@acme.example"));
    }

    #[test]
    fn invalid_author_names_and_emails_are_rejected() {
        let pointer = |name, email| settings_with_author(name, email).validate().err().map(|fault| fault.pointer);
        assert_eq!(pointer(Some("Acme Bot"), Some("bot@acme.example")), None);
        let (longest, long) = ("ü".repeat(100), "x".repeat(101));
        assert_eq!(pointer(Some(&longest), None), None);
        for bad in ["", " ", "Bot <x@y>", "Bot\nTrailer: x", ".", &long] {
            assert_eq!(pointer(Some(bad), None), Some("/commits/name"), "{bad:?}");
        }
        for bad in ["", "bot", "@acme", "bot@", "a b@acme", "<a@b>", "a@b\n"] {
            assert_eq!(pointer(None, Some(bad)), Some("/commits/email"), "{bad:?}");
        }
    }
}
