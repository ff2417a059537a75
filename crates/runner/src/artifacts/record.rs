//! Records an agent's events in a file: one event per line, whole where the sent events are cut.
//!
//! Outputs that are too large for a line get files of their own. An attempt that continues after it tried to yield
//! begins another file. Events are recorded as they are sent, so their secrets are already removed. The agent's raw
//! lines are stored only if the operator enables that.

use super::Artifacts;
use crate::api::said::{MAX_DATA_BYTES, MAX_TEXT_BYTES, Said};
use pullyard_domain::artifact::{ArtifactKind, MAX_SIZE_BYTES};
use pullyard_protocol::event::EventKind;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

const OUTPUT: &str = "agent-output.jsonl";
const PAYLOAD: &str = "provider-payload.txt";
const LAST_WORD: &str = "final-message.md";
/// Most outputs with files of their own, so that places remain for the outputs of checks.
const MOST_BESIDE: usize = 24;
/// Total size of these outputs, for the same reason. Units: bytes.
const LARGEST_BESIDE: u64 = 32 << 20;
/// Space for the line that reports a full file. Units: bytes.
const LAST_LINE: u64 = 1_024;
/// Longest last message, because users read it. Units: bytes.
const LONGEST_WORD: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RawCapture {
    Off,
    On,
}

/// The record of one attempt; cheap to clone.
#[derive(Clone)]
pub(crate) struct Record(Arc<Mutex<Open>>);

struct Open {
    artifacts: Artifacts,
    raw: RawCapture,
    part: u32,
    began: Instant,
    output: Option<Lines>,
    payload: Option<Lines>,
    beside: usize,
    /// Units: bytes.
    size_beside: u64,
    /// The agent's last message, and whether it is its result.
    last_word: Option<(bool, String)>,
}

struct Lines {
    file: BufWriter<File>,
    size: u64,
    full: bool,
}

impl Record {
    pub(crate) fn begin(artifacts: &Artifacts, raw: RawCapture) -> Self {
        let mut open = Open {
            artifacts: artifacts.clone(),
            raw,
            part: 0,
            output: None,
            payload: None,
            began: Instant::now(),
            beside: 0,
            size_beside: 0,
            last_word: None,
        };
        open.next_part();
        Self(Arc::new(Mutex::new(open)))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an event. An output that is too large becomes an artifact, which the returned event names.
    pub(crate) fn note(&self, said: Said) -> Said {
        if said.kind == EventKind::Phase {
            return said;
        }
        self.open().note(said)
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.open().payload.is_some()
    }

    pub(crate) fn raw(&self, line: &[u8]) {
        if let Some(payload) = &mut self.open().payload {
            payload.add(line);
        }
    }

    /// Ends this part after the agent's end, and hands in its files.
    pub(crate) fn end(&self) {
        let mut open = self.open();
        let (output, payload) = (open.output.take(), open.payload.take());
        for (lines, kind, name) in
            [(output, ArtifactKind::AgentOutput, OUTPUT), (payload, ArtifactKind::ProviderPayload, PAYLOAD)]
        {
            let name = open.name(name);
            match lines.map(Lines::finish) {
                Some(true) => {
                    open.artifacts.hand_in(kind, &name);
                }
                Some(false) => open.artifacts.not_kept(kind, &name, "it could not be written"),
                None => {}
            }
        }
        if let Some((_, words)) = open.last_word.take() {
            open.artifacts.keep(ArtifactKind::FinalMessage, &open.name(LAST_WORD), &words);
        }
    }

    /// The agent begins again, so another part begins.
    pub(crate) fn goes_on(&self) {
        self.open().next_part();
    }
}

impl Open {
    fn name(&self, name: &str) -> String {
        match name.split_once('.') {
            Some((name, ending)) if self.part > 1 => format!("{name}-{}.{ending}", self.part),
            _ => name.to_owned(),
        }
    }

    fn next_part(&mut self) {
        self.part += 1;
        self.output = self.begin(ArtifactKind::AgentOutput, OUTPUT);
        self.payload =
            if self.raw == RawCapture::On { self.begin(ArtifactKind::ProviderPayload, PAYLOAD) } else { None };
    }

    fn begin(&self, kind: ArtifactKind, name: &str) -> Option<Lines> {
        let name = self.name(name);
        match File::create(self.artifacts.file(&name)?) {
            Ok(file) => Some(Lines { file: BufWriter::new(file), size: 0, full: false }),
            Err(error) => {
                self.artifacts.not_kept(kind, &name, &format!("it could not be begun: {error}"));
                None
            }
        }
    }

    fn note(&mut self, mut said: Said) -> Said {
        if let (Some(text), EventKind::Text | EventKind::Result) = (&said.text, said.kind) {
            let is_result = said.kind == EventKind::Result;
            if is_result || !self.last_word.as_ref().is_some_and(|(is_result, _)| *is_result) {
                let mut words = text.clone();
                words.truncate(words.floor_char_boundary(LONGEST_WORD));
                self.last_word = Some((is_result, words));
            }
        }
        let at_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let line = json!({
            "at_ms": at_ms, "kind": said.kind, "text": said.text, "name": said.name, "path": said.path,
            "call": said.call, "data": said.data,
        });
        if let Some(output) = &mut self.output {
            output.add(without_nulls(line).to_string().as_bytes());
        }
        if said.text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
            let name = said.text.as_deref().and_then(|text| self.beside("txt", text));
            said.refers_to(name);
        } else if let Some(data) = said.data.as_ref().map(Value::to_string).filter(|data| data.len() > MAX_DATA_BYTES) {
            let name = self.beside("json", &data);
            said.data = Some(json!({ "left_out_bytes": data.len() }));
            said.refers_to(name);
        }
        said
    }

    /// Stores a large output as an artifact of its own, if there is space.
    fn beside(&mut self, ending: &str, text: &str) -> Option<String> {
        let size = self.size_beside.saturating_add(text.len() as u64);
        if self.beside >= MOST_BESIDE || size > LARGEST_BESIDE || self.output.is_none() {
            return None;
        }
        let name = format!("output-{}.{ending}", self.beside + 1);
        let path = self.artifacts.file(&name)?;
        std::fs::write(path, text).ok()?;
        self.beside += 1;
        self.size_beside = size;
        self.artifacts.hand_in_beside(&name).then_some(name)
    }
}

fn without_nulls(mut line: Value) -> Value {
    if let Some(fields) = line.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    line
}

impl Lines {
    fn add(&mut self, line: &[u8]) {
        if self.full {
            return;
        }
        let size = self.size.saturating_add(line.len() as u64 + 1);
        if size > MAX_SIZE_BYTES - LAST_LINE {
            self.full = true;
            self.write(br#"{"left_out":"the rest: there is no room for more"}"#);
            return;
        }
        self.size = size;
        self.write(line);
    }

    fn write(&mut self, line: &[u8]) {
        let written = self.file.write_all(line).and_then(|()| self.file.write_all(b"\n"));
        if let Err(error) = written {
            // A full disk is the job's own problem. Only the record ends here.
            tracing::warn!(error = %error, "recording of the agent's output stopped: {error}");
            self.full = true;
        }
    }

    /// Returns whether the file is usable.
    fn finish(mut self) -> bool {
        self.file.flush().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::tests::{artifacts, handed};

    fn recorded(raw: RawCapture, said: Vec<Said>) -> (tempfile::TempDir, Vec<Said>, Vec<String>) {
        let (dir, artifacts, mut waiting) = artifacts();
        artifacts.open(dir.path().join("artifacts")).unwrap();
        let record = Record::begin(&artifacts, raw);
        record.raw(b"{\"as\":\"it came\"}");
        let sent = said.into_iter().map(|said| record.note(said)).collect();
        record.end();
        (dir, sent, handed(&mut waiting).0)
    }

    fn read(dir: &tempfile::TempDir, name: &str) -> String {
        std::fs::read_to_string(dir.path().join("artifacts").join(name)).unwrap()
    }

    #[test]
    fn record_is_complete_where_the_event_is_cut() {
        let large = "x".repeat(MAX_TEXT_BYTES + 1);
        let result = Said { text: Some(large.clone()), ..Said::new(EventKind::ToolResult) };
        let small = Said { text: Some("ok".into()), ..Said::new(EventKind::ToolResult) };
        let data = Said { data: Some(json!({ "d": large })), ..Said::new(EventKind::ToolCall) };
        let (dir, sent, names) = recorded(RawCapture::Off, vec![result, small.clone(), data]);
        assert_eq!(names, ["output-1.txt", "output-2.json", OUTPUT]);
        assert_eq!(read(&dir, "output-1.txt"), large);
        assert_eq!(sent[0].data, Some(json!({ "artifact": "output-1.txt" })));
        assert_eq!(sent[1], small);
        assert_eq!(sent[2].data.as_ref().unwrap()["artifact"], "output-2.json");
        let lines: Vec<Value> = read(&dir, OUTPUT).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["text"], large.as_str());
        assert!(lines[1].get("data").is_none());
    }

    #[test]
    fn final_message_is_the_result_or_the_last_text() {
        let word = |kind, text: &str| Said::words(kind, text);
        let talk = || vec![word(EventKind::Text, "One."), word(EventKind::Text, "Two.")];
        let (dir, _, _) = recorded(RawCapture::Off, talk());
        assert_eq!(read(&dir, LAST_WORD), "Two.");
        let result = [vec![word(EventKind::Result, "Done.")], talk()].concat();
        let (dir, _, names) = recorded(RawCapture::Off, result);
        assert_eq!(read(&dir, LAST_WORD), "Done.");
        assert_eq!(names, [OUTPUT, LAST_WORD]);
    }

    #[test]
    fn raw_lines_are_recorded_only_on_request() {
        let (_, _, names) = recorded(RawCapture::Off, Vec::new());
        assert_eq!(names, [""; 0], "no files without events");
        let (dir, _, names) = recorded(RawCapture::On, Vec::new());
        assert_eq!(names, [PAYLOAD]);
        assert_eq!(read(&dir, PAYLOAD), "{\"as\":\"it came\"}\n");
    }

    #[test]
    fn full_record_ends_with_a_notice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let mut lines =
            Lines { file: BufWriter::new(File::create(&path).unwrap()), size: MAX_SIZE_BYTES - 2_000, full: false };
        lines.add(&[b'a'; 900]);
        lines.add(&[b'b'; 900]);
        lines.add(b"c");
        assert!(lines.finish());
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("there is no room for more\"}\n"));
    }

    #[test]
    fn number_of_separate_outputs_is_limited() {
        let large = || Said::words(EventKind::ToolResult, "x".repeat(MAX_TEXT_BYTES + 1));
        let (dir, sent, names) = recorded(RawCapture::Off, (0..MOST_BESIDE + 2).map(|_| large()).collect());
        let beside = names.iter().filter(|name| name.starts_with("output-")).count();
        assert_eq!((beside, names.len()), (MOST_BESIDE, MOST_BESIDE + 1));
        let (named, unnamed) = sent.split_at(MOST_BESIDE);
        assert!(named.iter().all(|said| said.data.is_some()) && unnamed.iter().all(|said| said.data.is_none()));
        assert_eq!(read(&dir, OUTPUT).lines().filter(|line| line.len() > MAX_TEXT_BYTES).count(), MOST_BESIDE + 2);
    }

    #[test]
    fn total_size_of_separate_outputs_is_limited() {
        let (dir, artifacts, mut waiting) = artifacts();
        artifacts.open(dir.path().join("artifacts")).unwrap();
        let record = Record::begin(&artifacts, RawCapture::Off);
        let least = MAX_TEXT_BYTES + 1;
        record.open().size_beside = LARGEST_BESIDE - least as u64;
        let named = |size| record.note(Said::words(EventKind::ToolResult, "x".repeat(size))).data.is_some();
        assert_eq!([least + 1, least, least].map(named), [false, true, false]);
        record.end();
        assert_eq!(handed(&mut waiting).0, ["output-1.txt", OUTPUT]);
    }

    #[test]
    fn final_message_is_cut_to_its_limit() {
        let long = format!("x{}", "\u{fc}".repeat(LONGEST_WORD));
        let (dir, _, _) = recorded(RawCapture::Off, vec![Said::words(EventKind::Result, long.as_str())]);
        let kept = read(&dir, LAST_WORD);
        // The cut is at a character boundary.
        assert!(kept.len() == LONGEST_WORD - 1 && long.starts_with(&kept), "{}", kept.len());
    }

    #[test]
    fn second_part_of_a_record_has_its_own_names() {
        let (dir, artifacts, mut waiting) = artifacts();
        artifacts.open(dir.path().join("artifacts")).unwrap();
        let record = Record::begin(&artifacts, RawCapture::On);
        let large = || Said::words(EventKind::ToolResult, "x".repeat(MAX_TEXT_BYTES + 1));
        for word in ["first", "second"] {
            record.note(large());
            record.note(Said::words(EventKind::Result, word));
            record.raw(word.as_bytes());
            record.end();
            // The record is closed between two parts.
            record.note(Said::words(EventKind::ToolResult, "between"));
            record.goes_on();
        }
        let (names, _) = handed(&mut waiting);
        let first = ["output-1.txt", OUTPUT, PAYLOAD, LAST_WORD];
        let second = ["output-2.txt", "agent-output-2.jsonl", "provider-payload-2.txt", "final-message-2.md"];
        assert_eq!(names, [first, second].concat());
        assert_eq!((read(&dir, LAST_WORD), read(&dir, second[3])), ("first".to_owned(), "second".to_owned()));
        assert_eq!((read(&dir, PAYLOAD), read(&dir, second[2])), ("first\n".to_owned(), "second\n".to_owned()));
        assert!(!read(&dir, OUTPUT).contains("between") && !read(&dir, second[1]).contains("between"));
    }
}
