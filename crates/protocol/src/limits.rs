//! Length limits and patterns of request fields, for validation and the OpenAPI document.

/// Longest title. Units: characters.
pub const TITLE: usize = 300;
/// Longest ticket status. Units: characters.
pub const STATUS: usize = 64;
/// Most labels.
pub const LABELS: usize = 50;
/// Longest label. Units: characters.
pub const LABEL: usize = 100;
/// Longest URL. Units: bytes.
pub const URL: usize = 500;
/// Longest description of a ticket. Units: bytes.
pub const DESCRIPTION: usize = 200 * 1024;
/// Longest comment on a ticket. Units: bytes.
pub const COMMENT: usize = 16 * 1024;
/// Longest prompt of a job. Units: bytes.
pub const PROMPT: usize = 100 * 1024;
/// Longest display name. Units: characters.
pub const NAME: usize = 200;
/// Most jobs that a runner may report: running jobs and a few that ended without an answer from the server.
pub const ACTIVE_JOBS: usize = 24;
/// Largest pull request number: the largest integer that every JSON parser reads exactly.
pub const PULL_REQUEST: u64 = (1 << 53) - 1;

/// Text with a visible character.
pub(crate) const NON_BLANK: &str = r"^[^\x00]*[^\s\x00][^\x00]*$";
/// One line with a visible character.
pub(crate) const LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
/// One line, possibly empty.
pub(crate) const ANY_LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
pub(crate) const WEB_URL: &str = r"^https?://[^\x00-\x1f\x7f-\x9f]*$";
