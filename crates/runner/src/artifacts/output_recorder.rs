//! Records an agent's events in a file: one event per line, complete where the sent events are cut.
//! An attempt that continues after it tried to yield begins another file. Secrets are removed before the record. The
//! agent's raw lines are stored only if the operator enables that.

use super::{AGENT_OUTPUT_FILE, Artifacts};
use crate::api::event_draft::EventDraft;
use pullyard_domain::job::artifact::{ArtifactKind, MAX_SIZE_BYTES};
use pullyard_protocol::event::EventKind;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

const RAW_FILE: &str = "provider-payload.txt";
const LAST_MESSAGE_FILE: &str = "final-message.md";
/// Space for the line that reports a full file. Units: bytes.
const LAST_LINE_BYTES: u64 = 1_024;
/// Longest last message, because users read it. Units: bytes.
const MAX_LAST_MESSAGE_BYTES: usize = 1024 * 1024;

#[derive(Clone)]
pub(crate) struct OutputRecorder(Arc<Mutex<RecorderState>>);

struct RecorderState {
    artifacts: Artifacts,
    captures_raw: bool,
    part: u32,
    started_at: Instant,
    output: Option<LineFile>,
    raw_lines: Option<LineFile>,
    last_message: Option<(bool, String)>,
}

struct LineFile {
    file: BufWriter<File>,
    size: u64,
    full: bool,
}

impl OutputRecorder {
    pub(crate) fn begin(artifacts: &Artifacts, captures_raw: bool) -> Self {
        let mut state = RecorderState {
            artifacts: artifacts.clone(),
            captures_raw,
            part: 0,
            output: None,
            raw_lines: None,
            started_at: Instant::now(),
            last_message: None,
        };
        state.next_part();
        Self(Arc::new(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, RecorderState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record_event(&self, draft: &EventDraft) {
        if draft.kind != EventKind::Phase {
            self.lock().record_event(draft);
        }
    }

    pub(crate) fn has_raw_lines(&self) -> bool {
        self.lock().raw_lines.is_some()
    }

    pub(crate) fn record_raw_line(&self, line: &[u8]) {
        if let Some(raw_lines) = &mut self.lock().raw_lines {
            raw_lines.add(line);
        }
    }

    pub(crate) fn end(&self) {
        let mut state = self.lock();
        let (output, raw_lines) = (state.output.take(), state.raw_lines.take());
        for (lines, kind, name) in [
            (output, ArtifactKind::AgentOutput, AGENT_OUTPUT_FILE),
            (raw_lines, ArtifactKind::ProviderPayload, RAW_FILE),
        ] {
            let name = state.file_name(name);
            match lines.map(LineFile::finish) {
                Some(true) => {
                    state.artifacts.queue_upload(kind, &name);
                }
                Some(false) => state.artifacts.log_skipped_artifact(kind, &name, "it could not be written"),
                None => {}
            }
        }
        if let Some((_, message)) = state.last_message.take() {
            state.artifacts.store_text(ArtifactKind::FinalMessage, &state.file_name(LAST_MESSAGE_FILE), &message);
        }
    }

    pub(crate) fn begin_next_part(&self) {
        self.lock().next_part();
    }
}

impl RecorderState {
    fn file_name(&self, name: &str) -> String {
        match name.split_once('.') {
            Some((name, ending)) if self.part > 1 => format!("{name}-{}.{ending}", self.part),
            _ => name.to_owned(),
        }
    }

    fn next_part(&mut self) {
        self.part += 1;
        self.output = self.create_file(ArtifactKind::AgentOutput, AGENT_OUTPUT_FILE);
        self.raw_lines =
            if self.captures_raw { self.create_file(ArtifactKind::ProviderPayload, RAW_FILE) } else { None };
    }

    fn create_file(&self, kind: ArtifactKind, name: &str) -> Option<LineFile> {
        let name = self.file_name(name);
        match File::create(self.artifacts.path_for(&name)?) {
            Ok(file) => Some(LineFile { file: BufWriter::new(file), size: 0, full: false }),
            Err(error) => {
                self.artifacts.log_skipped_artifact(kind, &name, &format!("it could not be begun: {error}"));
                None
            }
        }
    }

    fn record_event(&mut self, draft: &EventDraft) {
        if let (Some(text), EventKind::Text | EventKind::Result) = (&draft.text, draft.kind) {
            let is_result = draft.kind == EventKind::Result;
            if is_result || !self.last_message.as_ref().is_some_and(|(is_result, _)| *is_result) {
                let mut message = text.clone();
                message.truncate(message.floor_char_boundary(MAX_LAST_MESSAGE_BYTES));
                self.last_message = Some((is_result, message));
            }
        }
        let at_ms = u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let line = json!({
            "at_ms": at_ms, "kind": draft.kind, "text": draft.text, "name": draft.name, "path": draft.path,
            "call": draft.call, "data": draft.data,
        });
        if let Some(output) = &mut self.output {
            output.add(without_nulls(line).to_string().as_bytes());
        }
    }
}

fn without_nulls(mut line: Value) -> Value {
    if let Some(fields) = line.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    line
}

impl LineFile {
    fn add(&mut self, line: &[u8]) {
        if self.full {
            return;
        }
        let size = self.size.saturating_add(line.len() as u64 + 1);
        if size > MAX_SIZE_BYTES - LAST_LINE_BYTES {
            self.full = true;
            self.write(br#"{"left_out":"the rest: there is no room for more"}"#);
            return;
        }
        self.size = size;
        self.write(line);
    }

    fn write(&mut self, line: &[u8]) {
        let line_result = self.file.write_all(line).and_then(|()| self.file.write_all(b"\n"));
        if let Err(error) = line_result {
            // A full disk does not end the job here, only its record.
            tracing::warn!(error = %error, "recording of the agent's output stopped: {error}");
            self.full = true;
        }
    }

    fn finish(mut self) -> bool {
        self.file.flush().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::event_draft::MAX_TEXT_BYTES;
    use crate::artifacts::tests::{artifacts, drain_uploads};

    fn record_events(captures_raw: bool, events: &[EventDraft]) -> (tempfile::TempDir, Vec<String>) {
        let (dir, artifacts, mut queue_entries) = artifacts();
        artifacts.set_folder(dir.path().join("artifacts")).unwrap();
        let record = OutputRecorder::begin(&artifacts, captures_raw);
        record.record_raw_line(b"{\"as\":\"it came\"}");
        events.iter().for_each(|event| record.record_event(event));
        record.end();
        (dir, drain_uploads(&mut queue_entries).0)
    }

    fn read_artifact(dir: &tempfile::TempDir, name: &str) -> String {
        std::fs::read_to_string(dir.path().join("artifacts").join(name)).unwrap()
    }

    #[test]
    fn record_is_complete_where_the_event_is_cut() {
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        let result = EventDraft { text: Some(long.clone()), ..EventDraft::new(EventKind::ToolResult) };
        let small = EventDraft { text: Some("ok".into()), ..EventDraft::new(EventKind::ToolResult) };
        let data = EventDraft { data: Some(json!({ "d": long })), ..EventDraft::new(EventKind::ToolCall) };
        let (dir, names) = record_events(false, &[result, small, data]);
        assert_eq!(names, [AGENT_OUTPUT_FILE]);
        let lines: Vec<Value> =
            read_artifact(&dir, AGENT_OUTPUT_FILE).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["text"], long.as_str());
        assert!(lines[1].get("data").is_none());
        assert_eq!(lines[2]["data"]["d"], long.as_str());
    }

    #[test]
    fn final_message_is_the_result_or_the_last_text() {
        let event = |kind, text: &str| EventDraft::text(kind, text);
        let texts = || vec![event(EventKind::Text, "One."), event(EventKind::Text, "Two.")];
        let (dir, _) = record_events(false, &texts());
        assert_eq!(read_artifact(&dir, LAST_MESSAGE_FILE), "Two.");
        let result = [vec![event(EventKind::Result, "Done.")], texts()].concat();
        let (dir, names) = record_events(false, &result);
        assert_eq!(read_artifact(&dir, LAST_MESSAGE_FILE), "Done.");
        assert_eq!(names, [AGENT_OUTPUT_FILE, LAST_MESSAGE_FILE]);
    }

    #[test]
    fn raw_lines_are_recorded_only_on_request() {
        let (_dir, names) = record_events(false, &[]);
        assert_eq!(names, [""; 0], "no files without events");
        let (dir, names) = record_events(true, &[]);
        assert_eq!(names, [RAW_FILE]);
        assert_eq!(read_artifact(&dir, RAW_FILE), "{\"as\":\"it came\"}\n");
    }

    #[test]
    fn full_record_ends_with_a_notice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let mut lines =
            LineFile { file: BufWriter::new(File::create(&path).unwrap()), size: MAX_SIZE_BYTES - 2_000, full: false };
        lines.add(&[b'a'; 900]);
        lines.add(&[b'b'; 900]);
        lines.add(b"c");
        assert!(lines.finish());
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("there is no room for more\"}\n"));
    }

    #[test]
    fn final_message_is_cut_to_its_limit() {
        let long = format!("x{}", "\u{fc}".repeat(MAX_LAST_MESSAGE_BYTES));
        let (dir, _) = record_events(false, &[EventDraft::text(EventKind::Result, long.as_str())]);
        let message = read_artifact(&dir, LAST_MESSAGE_FILE);
        // The cut is at a character boundary.
        assert!(message.len() == MAX_LAST_MESSAGE_BYTES - 1 && long.starts_with(&message), "{}", message.len());
    }

    #[test]
    fn second_part_of_a_record_has_its_own_names() {
        let (dir, artifacts, mut queue_entries) = artifacts();
        artifacts.set_folder(dir.path().join("artifacts")).unwrap();
        let record = OutputRecorder::begin(&artifacts, true);
        for text in ["first", "second"] {
            record.record_event(&EventDraft::text(EventKind::Result, text));
            record.record_raw_line(text.as_bytes());
            record.end();
            // The record is closed between two parts.
            record.record_event(&EventDraft::text(EventKind::ToolResult, "between"));
            record.begin_next_part();
        }
        let (names, _) = drain_uploads(&mut queue_entries);
        let first = [AGENT_OUTPUT_FILE, RAW_FILE, LAST_MESSAGE_FILE];
        let second = ["agent-output-2.jsonl", "provider-payload-2.txt", "final-message-2.md"];
        assert_eq!(names, [first, second].concat());
        assert_eq!(
            (read_artifact(&dir, LAST_MESSAGE_FILE), read_artifact(&dir, second[2])),
            ("first".to_owned(), "second".to_owned())
        );
        assert_eq!(
            (read_artifact(&dir, RAW_FILE), read_artifact(&dir, second[1])),
            ("first\n".to_owned(), "second\n".to_owned())
        );
        assert!(
            !read_artifact(&dir, AGENT_OUTPUT_FILE).contains("between")
                && !read_artifact(&dir, second[0]).contains("between")
        );
    }
}
