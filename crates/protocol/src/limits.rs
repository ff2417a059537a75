//! Limits for the texts of requests, for validation and the OpenAPI document.

/// Title. Units: characters.
pub const TITLE: usize = 300;
/// Status. Units: characters.
pub const STATUS: usize = 64;
/// Number of labels.
pub const LABELS: usize = 50;
/// Label. Units: characters.
pub const LABEL: usize = 100;
/// URL. Units: bytes.
pub const URL: usize = 500;
/// Description of a ticket. Units: bytes.
pub const DESCRIPTION: usize = 200 * 1024;
/// Prompt of a job. Units: bytes.
pub const PROMPT: usize = 100 * 1024;
/// Display name. Units: characters.
pub const NAME: usize = 200;
/// Jobs that a runner may report: running ones, and a few whose end it has not received.
pub const ACTIVE: usize = 24;
/// Largest number of a pull request: the largest integer that every JSON parser reads exactly.
pub const PULL_REQUEST: u64 = (1 << 53) - 1;

/// Has a visible character.
#[cfg(feature = "schema")]
pub(crate) const SAYS: &str = r"^[^\x00]*[^\s\x00][^\x00]*$";
/// One line with a visible character.
#[cfg(feature = "schema")]
pub(crate) const LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
/// One line, may be empty.
#[cfg(feature = "schema")]
pub(crate) const ANY_LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
/// An http or https URL.
#[cfg(feature = "schema")]
pub(crate) const WEB: &str = r"^https?://[^\x00-\x1f\x7f-\x9f]*$";
