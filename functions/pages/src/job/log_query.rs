//! The query that selects a part of a job's log.

use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct LogQuery {
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
    /// Shows the part that begins with this event, whose text is not cut.
    pub(super) at: Option<String>,
    /// Shows the events of a part that contain this text.
    pub(super) q: Option<String>,
}
