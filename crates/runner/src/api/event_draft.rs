//! An event before it has a number. `truncate` limits its size, so that the table can store it.

use crate::artifacts::AGENT_OUTPUT_FILE;
use pullyard_protocol::event::{Event, EventKind};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer text is cut, with a mark that names the file with the whole event.
pub(crate) const MAX_TEXT_BYTES: usize = 64 * 1024;
const MAX_NAME_BYTES: usize = 1024;
const MAX_DATA_BYTES: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EventDraft {
    pub(crate) kind: EventKind,
    pub(crate) text: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) call: Option<String>,
    pub(crate) data: Option<Value>,
}

impl EventDraft {
    pub(crate) fn new(kind: EventKind) -> Self {
        Self { kind, text: None, name: None, path: None, call: None, data: None }
    }

    pub(crate) fn text(kind: EventKind, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::new(kind) }
    }

    pub(crate) fn phase(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::new(EventKind::Phase) }
    }

    pub(crate) fn truncate(mut self) -> Self {
        self.text = self.text.map(|text| truncate_text(text, MAX_TEXT_BYTES));
        for field in [&mut self.name, &mut self.path, &mut self.call] {
            *field = field.take().map(|text| truncate_text(text, MAX_NAME_BYTES));
        }
        self.data = self.data.map(|data| {
            let size = data.to_string().len();
            if size > MAX_DATA_BYTES { json!({ "left_out_bytes": size, "all_in": AGENT_OUTPUT_FILE }) } else { data }
        });
        self
    }

    pub(crate) fn into_event(self, seq: u64, age: Duration) -> Event {
        let Self { kind, text, name, path, call, data } = self;
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Event { seq, age_ms, kind, text, name, path, call, data }
    }

    pub(crate) fn size(&self) -> usize {
        let texts = [&self.text, &self.name, &self.path, &self.call];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        128 + texts + self.data.as_ref().map_or(0, |data| data.to_string().len())
    }
}

fn truncate_text(mut text: String, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text;
    }
    let size = text.len();
    text.truncate(text.floor_char_boundary(max_bytes));
    text.push_str(&format!("… [cut: {} of {size} bytes; all in {AGENT_OUTPUT_FILE}]", text.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_at_a_character_with_a_mark() {
        let draft = EventDraft::text(EventKind::Text, "ü".repeat(40_000)).truncate();
        let text = draft.text.unwrap();
        assert!(text.len() < MAX_TEXT_BYTES + 64);
        assert_eq!(&text[text.len() - 54..], "[cut: 65536 of 80000 bytes; all in agent-output.jsonl]");
    }

    #[test]
    fn fields_at_their_limit_stay_unchanged() {
        let draft = |text: usize, name: usize, data: usize| EventDraft {
            text: Some("t".repeat(text)),
            name: Some("n".repeat(name)),
            path: Some("p".repeat(name)),
            call: Some("c".repeat(name)),
            // The limit includes the quotes.
            data: Some("d".repeat(data - 2).into()),
            ..EventDraft::new(EventKind::Text)
        };
        let fits = draft(MAX_TEXT_BYTES, MAX_NAME_BYTES, MAX_DATA_BYTES);
        assert_eq!(fits.clone().truncate(), fits);
        let cut = draft(MAX_TEXT_BYTES + 1, MAX_NAME_BYTES + 1, MAX_DATA_BYTES + 1).truncate();
        for (field, max_bytes) in [
            (&cut.text, MAX_TEXT_BYTES),
            (&cut.name, MAX_NAME_BYTES),
            (&cut.path, MAX_NAME_BYTES),
            (&cut.call, MAX_NAME_BYTES),
        ] {
            let mark = format!("[cut: {max_bytes} of {} bytes; all in agent-output.jsonl]", max_bytes + 1);
            assert!(field.as_ref().unwrap().ends_with(&mark), "{field:?}");
        }
        assert_eq!(cut.data, Some(json!({ "left_out_bytes": MAX_DATA_BYTES + 1, "all_in": "agent-output.jsonl" })));
    }
}
