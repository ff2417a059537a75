//! The query and the cursors of a job's log, and how often an open page requests changes.

use crate::fault::Fault;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use pullyard_control::Context;
use pullyard_domain::job::JobStatus;
use pullyard_entry::Problem;
use serde::Deserialize;
use std::fmt;

const CURSOR_HEADER: HeaderName = HeaderName::from_static("pullyard-cursor");

/// Delay until the script polls again. Units: milliseconds; 0 is never.
const NEXT_HEADER: HeaderName = HeaderName::from_static("pullyard-next");

#[derive(Deserialize)]
pub(crate) struct LogQuery {
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
    /// Shows the part that begins with this event, whose text is not cut.
    pub(super) at: Option<String>,
    /// Shows the events of a part that contain this text.
    pub(super) q: Option<String>,
}

/// `1.12`, or `1.12.3` once users sent messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Attempt and number of the last event.
    pub(super) event: (u32, u64),
    pub(super) inputs: u32,
}

impl Cursor {
    pub(super) const START: Self = Self { event: (1, 0), inputs: 0 };

    pub(super) fn parse(name: &str, text: &str) -> Result<Self, Fault> {
        let mut parts = text.splitn(3, '.');
        let (attempt, seq, inputs) = (parts.next(), parts.next(), parts.next().unwrap_or("0"));
        let cursor = attempt.zip(seq).and_then(|(attempt, seq)| {
            Some(Self { event: (attempt.parse().ok()?, seq.parse().ok()?), inputs: inputs.parse().ok()? })
        });
        cursor.ok_or_else(|| Problem::bad_parameter(name, "use the cursor of an earlier page").into())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (attempt, seq) = self.event;
        write!(f, "{attempt}.{seq}")?;
        if self.inputs > 0 { write!(f, ".{}", self.inputs) } else { Ok(()) }
    }
}

/// Short while events arrive, longer while the job waits. Units: milliseconds.
pub(super) fn next_poll(ctx: &Context, status: JobStatus, events: usize) -> u32 {
    match status {
        _ if events >= 500 => 100,
        // Requests are free on one machine.
        _ if ctx.on_one_machine => 250,
        // A watched runner sends its next batch about then.
        _ if status.is_active() && events > 0 => 500,
        _ if status.is_active() || status.is_terminal() => 1_000,
        _ => 2_000,
    }
}

pub(super) fn add_headers(mut response: Response, cursor: Cursor, next: u32) -> Response {
    let headers = response.headers_mut();
    if let Ok(cursor) = HeaderValue::from_str(&cursor.to_string()) {
        headers.insert(CURSOR_HEADER, cursor);
    }
    headers.insert(NEXT_HEADER, HeaderValue::from(next));
    response
}
