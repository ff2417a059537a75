//! How long the texts of a request may be: what is checked where it comes in, and what the API's
//! description says.

/// A title. Units: characters.
pub const TITLE: usize = 300;
/// A status, as the settings' own are. Units: characters.
pub const STATUS: usize = 64;
/// How many labels something has.
pub const LABELS: usize = 50;
/// A label. Units: characters.
pub const LABEL: usize = 100;
/// An address. Units: bytes.
pub const URL: usize = 500;
/// A ticket's text. Units: bytes.
pub const DESCRIPTION: usize = 200 * 1024;
/// What a person asks for. Units: bytes.
pub const PROMPT: usize = 100 * 1024;
/// A name for people. Units: characters.
pub const NAME: usize = 200;
/// Jobs that a runner may say it runs: those that it has, and a few whose end it has not heard of.
pub const ACTIVE: usize = 24;
/// A pull request's number: programs that read JSON know no larger one.
pub const PULL_REQUEST: u64 = (1 << 53) - 1;

/// Text that says something.
#[cfg(feature = "schema")]
pub(crate) const SAYS: &str = r"^[^\x00]*[^\s\x00][^\x00]*$";
/// One line for people that says something.
#[cfg(feature = "schema")]
pub(crate) const LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
/// One line, or nothing.
#[cfg(feature = "schema")]
pub(crate) const ANY_LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
/// An address that a browser can open.
#[cfg(feature = "schema")]
pub(crate) const WEB: &str = r"^https?://[^\x00-\x1f\x7f-\x9f]*$";
