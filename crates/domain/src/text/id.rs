//! Id types, each validated when it is parsed.
//! Random ids are created elsewhere, because this crate has no random numbers.

pub mod derived;
mod hook_names;

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is no valid id, as the rule of the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidId(pub &'static str);

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidId {}

/// The id of an object whose name is unique in its project.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InProject<N> {
    pub project: ProjectId,
    pub name: N,
}

impl<N: fmt::Display> fmt::Display for InProject<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.name)
    }
}

/// Conversions of a text type that `TryFrom<String>` validates.
macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::id::InvalidId;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use text_type;

// The pattern is for the OpenAPI document. The check decides and may be stricter.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident checked by $check:expr, $pattern:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let check: fn(&str) -> Result<(), InvalidId> = $check;
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }

        text_type!($name);
    )*};
}

ids! {
    ProjectId checked by slug, r"^[a-z0-9][a-z0-9-]{0,39}$";
    /// A connected forge or ticket tool, `gh1`.
    IntegrationId checked by slug, r"^[a-z0-9][a-z0-9-]{0,39}$";
    /// A ticket's key in its tool, `APP-17`; any printable text of at most 64 characters.
    TicketKey checked by ticket_key, r"^(?!\.{1,2}$)[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]{0,62}[^\s\x00-\x1f\x7f-\x9f])?$";
    /// The sender's id of an event; any printable text of at most 128 characters.
    EventId checked by event_id, r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]{0,126}[^\s\x00-\x1f\x7f-\x9f])?$";
    /// A review's id at its forge, or the id of a user's request for a revision; 1 to 64 of `A-Za-z0-9._-`.
    ReviewId checked by token, r"^[A-Za-z0-9._-]{1,64}$";
    HookName checked by slug, r"^[a-z0-9][a-z0-9-]{0,39}$";
    /// An endpoint of notices in its project.
    EndpointId checked by slug, r"^[a-z0-9][a-z0-9-]{0,39}$";
    ScheduleName checked by slug, r"^[a-z0-9][a-z0-9-]{0,39}$";
    TemplateName checked by slug, r"^[a-z0-9][a-z0-9-]{0,39}$";
    /// `owner/name` as the forge spells it.
    RepositoryName checked by repository_name, r"^(?!.*\.git(/|$))[A-Za-z0-9_][A-Za-z0-9._-]{0,99}/(?!\.{1,2}$)[A-Za-z0-9_.][A-Za-z0-9._-]{0,99}$";
    JobId checked by |text| check_id(text, "job_", "a job's id is job_ and 26 characters"), r"^job_[a-z0-9]{26}$";
    DeliveryId checked by |text| check_id(text, "dlv_", "a delivery's id is dlv_ and 26 characters"), r"^dlv_[a-z0-9]{26}$";
    /// A notice, and the `webhook-id` of its messages.
    NoticeId checked by |text| check_id(text, "msg_", "a notice's id is msg_ and 26 characters"), r"^msg_[a-z0-9]{26}$";
    /// A run of a plan.
    RunId checked by |text| check_id(text, "run_", "a run's id is run_ and 26 characters"), r"^run_[a-z0-9]{26}$";
    RunnerId checked by |text| check_id(text, "rnr_", "a runner's id is rnr_ and 26 characters"), r"^rnr_[a-z0-9]{26}$";
    /// The random part of the name of a runner's queue for hints. It is the only secret of the hints.
    MailboxId checked by |text| check_id(text, "", "a mailbox is 26 characters"), r"^[a-z0-9]{26}$";
    /// A claim's id, chosen by the runner so that a repeat is recognised; 1 to 64 of `A-Za-z0-9._-`.
    ClaimId checked by token, r"^[A-Za-z0-9._-]{1,64}$";
    /// A finish's id, chosen by the runner so that a repeat is recognised; 1 to 64 of `A-Za-z0-9._-`.
    FinishId checked by token, r"^[A-Za-z0-9._-]{1,64}$";
    /// One run of a runner process; 1 to 64 of `A-Za-z0-9._-`.
    InstanceId checked by token, r"^[A-Za-z0-9._-]{1,64}$";
    /// An order to a runner; 1 to 64 of `A-Za-z0-9._-`.
    OrderId checked by token, r"^[A-Za-z0-9._-]{1,64}$";
    /// A class of jobs with the same requirements for a runner: 16 characters of a hash.
    ClassId checked by token, r"^[A-Za-z0-9._-]{1,64}$";
    /// A token's public id: the first 16 hex digits of its hash.
    TokenId checked by |text| require(is_hex(text, 16), "a token's id is 16 hex digits"), r"^[0-9a-f]{16}$";
    SecretName checked by secret_name, r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
    /// The queue's id of a message, unchanged while the message is in the queue; 1 to 64 of `A-Za-z0-9._-`.
    MessageId checked by token, r"^[A-Za-z0-9._-]{1,64}$";
    ArtifactId checked by |text| check_id(text, "art_", "an artifact's id is art_ and 26 characters"), r"^art_[a-z0-9]{26}$";
    ArtifactName checked by artifact_name, r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$";
    Sha256Hex checked by |text| require(is_hex(text, 64), "a SHA-256 is 64 hex digits"), r"^[0-9a-f]{64}$";
}

impl TicketKey {
    /// The parts of `APP-10`: `APP-` and 10. A key without digits at its end has the number 0.
    pub fn prefix_and_number(&self) -> (&str, u64) {
        let prefix = self.0.trim_end_matches(|c: char| c.is_ascii_digit());
        (prefix, self.0[prefix.len()..].parse().unwrap_or(0))
    }

    /// Whether the key can be a path segment of a URL. Gateways decode paths and would change other keys.
    pub fn is_path_segment(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
    }
}

fn require(is_valid: bool, rule: &'static str) -> Result<(), InvalidId> {
    if is_valid { Ok(()) } else { Err(InvalidId(rule)) }
}

fn is_lower_or_digit(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_file_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn is_printable(text: &str, limit: usize) -> bool {
    !text.is_empty() && text.chars().count() <= limit && !text.chars().any(char::is_control) && text.trim() == text
}

fn check_id(text: &str, prefix: &str, rule: &'static str) -> Result<(), InvalidId> {
    let is_body = |rest: &str| rest.len() == 26 && rest.chars().all(is_lower_or_digit);
    require(text.strip_prefix(prefix).is_some_and(is_body), rule)
}

pub(crate) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Begins with a letter or digit, because URL clients resolve path segments of dots alone.
fn is_file_name(text: &str, limit: usize) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.len() <= limit && text.chars().all(is_file_name_char)
}

fn slug(text: &str) -> Result<(), InvalidId> {
    let is_valid = text.starts_with(is_lower_or_digit)
        && text.len() <= 40
        && text.chars().all(|c| is_lower_or_digit(c) || c == '-');
    require(is_valid, "use 1 to 40 lower-case letters, digits and dashes, not starting with a dash")
}

fn ticket_key(text: &str) -> Result<(), InvalidId> {
    require(is_printable(text, 64), "use 1 to 64 printable characters")?;
    // URL clients resolve these path segments.
    require(!matches!(text, "." | ".."), "a dot alone can't be a key")
}

fn event_id(text: &str) -> Result<(), InvalidId> {
    require(is_printable(text, 128), "use 1 to 128 printable characters")
}

fn repository_name(text: &str) -> Result<(), InvalidId> {
    let is_part = |part: &str| {
        (1..=100).contains(&part.len())
            && !part.starts_with('-')
            && !part.ends_with(".git")
            && part.chars().all(is_file_name_char)
    };
    // GitHub gives names such as `.github` a meaning. URL clients resolve segments of one or two dots.
    let is_name = |name: &str| is_part(name) && !matches!(name, "." | "..");
    let is_owner = |owner: &str| is_part(owner) && !owner.starts_with('.');
    let is_valid = text.split_once('/').is_some_and(|(owner, name)| is_owner(owner) && is_name(name));
    require(is_valid, "write it as owner/name")
}

fn token(text: &str) -> Result<(), InvalidId> {
    let is_valid = (1..=64).contains(&text.len()) && text.chars().all(is_file_name_char);
    require(is_valid, "use 1 to 64 letters, digits, dots, dashes and underscores")
}

fn secret_name(text: &str) -> Result<(), InvalidId> {
    let rule = "use 1 to 128 letters, digits, dots, dashes and underscores, beginning with a letter or digit";
    require(is_file_name(text, 128), rule)
}

/// The name is used for a downloaded file, so it must not need quoting or contain a path.
fn artifact_name(text: &str) -> Result<(), InvalidId> {
    let rule = "use 1 to 100 letters, digits, dots, dashes and underscores, beginning with a letter or digit";
    require(is_file_name(text, 100), rule)
}

#[cfg(test)]
mod tests;
