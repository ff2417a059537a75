//! Cursor and interval of an open log's requests for changes.

use super::snapshot::Snapshot;
use crate::fault::Fault;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use pullyard_control::JobView;
use pullyard_domain::job::LiveUpdates;
use pullyard_entry::Problem;

const CURSOR_HEADER: HeaderName = HeaderName::from_static("pullyard-cursor");

const HELD_NEXT: u32 = 1;

/// Delay until the script polls again. Units: milliseconds; 0 is never.
const NEXT_HEADER: HeaderName = HeaderName::from_static("pullyard-next");

/// `1.12`, `1.12.3` once users sent messages, or `1.12.3.57` from a held request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Attempt and number of the last event.
    pub(super) event: (u32, u64),
    pub(super) inputs: u32,
    pub(super) rev: Option<u64>,
}

pub(super) struct LiveUpdate {
    pub(super) cursor: String,
    pub(super) next: u32,
    pub(super) mode: LiveUpdates,
}

impl Cursor {
    pub(super) const START: Self = Self { event: (1, 0), inputs: 0, rev: None };

    pub(super) fn parse(name: &str, text: &str) -> Result<Self, Fault> {
        let mut parts = text.splitn(4, '.');
        let (attempt, seq, inputs) = (parts.next(), parts.next(), parts.next().unwrap_or("0"));
        let rev = parts.next().map(str::parse).transpose();
        let cursor = attempt.zip(seq).and_then(|(attempt, seq)| {
            let event = (attempt.parse().ok()?, seq.parse().ok()?);
            Some(Self { event, inputs: inputs.parse().ok()?, rev: rev.ok()? })
        });
        cursor.ok_or_else(|| Problem::bad_parameter(name, "use the cursor of an earlier page").into())
    }

    pub(super) fn is_older_than(self, snapshot: &Snapshot) -> bool {
        let job = &snapshot.subject.view.job;
        self.event < snapshot.cursor || self.inputs < job.inputs || self.rev.is_some_and(|rev| rev < job.rev)
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
        let Cursor { event: (attempt, seq), inputs, rev } = cursor;
        let rest = match (inputs, rev) {
            (0, None) => String::new(),
            (_, None) => format!(".{inputs}"),
            (_, Some(rev)) => format!(".{inputs}.{rev}"),
        };
        // The server paces the answers to held requests.
        let next = if rev.is_some() { next.min(HELD_NEXT) } else { next };
        Self { cursor: format!("{attempt}.{seq}{rest}"), next, mode: LiveUpdates::Poll }
    }

    pub(super) fn with_mode(mut self, mode: LiveUpdates) -> Self {
        self.mode = mode;
        if mode == LiveUpdates::LongPoll {
            self.next = self.next.min(HELD_NEXT);
        }
        self
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
