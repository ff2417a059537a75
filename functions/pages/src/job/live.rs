//! Cursor and interval of an open log's requests for changes.

use crate::fault::Fault;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use pullyard_control::JobView;
use pullyard_entry::Problem;

/// The last event seen.
const CURSOR_HEADER: HeaderName = HeaderName::from_static("pullyard-cursor");

/// Delay until the script polls again. Units: milliseconds; 0 is never.
const NEXT_HEADER: HeaderName = HeaderName::from_static("pullyard-next");

/// `1.12`, or `1.12.3` once users sent messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Attempt and number of the last event.
    pub(super) event: (u32, u64),
    /// The number of the last user's message.
    pub(super) inputs: u32,
}

pub(super) struct LiveUpdate {
    pub(super) cursor: String,
    pub(super) next: u32,
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

impl LiveUpdate {
    /// Short while events arrive, longer while the job waits, 0 at the end.
    pub(super) fn new(view: &JobView, events: usize, cursor: Cursor, end: bool) -> Self {
        let next = match (end, view.job.status) {
            (true, _) => 0,
            _ if events >= 500 => 100,
            // A watched runner sends its next batch about then.
            (_, status) if status.is_active() && events > 0 => 500,
            (_, status) if status.is_active() || status.is_terminal() => 1_000,
            _ => 2_000,
        };
        let Cursor { event: (attempt, seq), inputs } = cursor;
        let inputs = if inputs == 0 { String::new() } else { format!(".{inputs}") };
        Self { cursor: format!("{attempt}.{seq}{inputs}"), next }
    }

    pub(super) fn add_to(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        if let Ok(cursor) = HeaderValue::from_str(&self.cursor) {
            headers.insert(CURSOR_HEADER, cursor);
        }
        headers.insert(NEXT_HEADER, HeaderValue::from(self.next));
        response
    }
}
