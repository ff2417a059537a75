//! Reads lines from a pipe in bounded memory. A longer line is cut, without a part of a secret at the cut.

use crate::secrets::redact::Redactor;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Longest line. The rest is skipped. Units: bytes.
const MAX_BYTES: usize = 16 * 1024 * 1024;

pub(super) struct LineReader<R> {
    pipe: BufReader<R>,
    max_bytes: usize,
    redactor: Redactor,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(super) fn new(pipe: R, redactor: &Redactor) -> Self {
        Self { pipe: BufReader::with_capacity(64 * 1024, pipe), max_bytes: MAX_BYTES, redactor: redactor.clone() }
    }

    /// The next line without its newline, which the last line may lack. A broken pipe counts as its end. A cut line
    /// contains no secret and no beginning of a secret, because later code could not recognize a part.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let (mut has_bytes, mut is_cut) = (false, false);
        while let Ok(read) = self.pipe.fill_buf().await {
            if read.is_empty() {
                break;
            }
            has_bytes = true;
            let (part, used, ended) = match read.iter().position(|byte| *byte == b'\n') {
                Some(end) => (read.get(..end).unwrap_or_default(), end + 1, true),
                None => (read, read.len(), false),
            };
            let room = self.max_bytes.saturating_sub(line.len()).min(part.len());
            is_cut |= room < part.len();
            line.extend_from_slice(part.get(..room).unwrap_or_default());
            self.pipe.consume(used);
            if ended {
                break;
            }
        }
        if is_cut {
            line = self.redactor.redact_prefix(&line);
        }
        has_bytes.then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::adapter::LineParser;
    use crate::agent::agent_event::AgentEvent;
    use crate::agent::drivers::codex_reader;
    use pullyard_protocol::event::EventKind;
    use serde_json::json;
    use std::path::Path;

    #[tokio::test]
    async fn longest_measured_line_is_read_completely() {
        // Codex sends the output of a command in one line, up to about 1 MiB.
        let output = "x".repeat(1_100_000);
        let line = json!({"type": "item.completed", "item": {
            "id": "i", "type": "command_execution", "command": "x", "aggregated_output": output,
            "exit_code": 0, "status": "completed",
        }});
        let input = format!("{line}\nnext");
        let mut lines = LineReader::new(input.as_bytes(), &Redactor::new([]));
        let read = lines.next().await.unwrap();
        let events = codex_reader(Path::new("/workspace")).parse_line(&read);
        let is_whole = |event: &AgentEvent| match event {
            AgentEvent::Event(draft) => draft.kind == EventKind::ToolResult && draft.text.as_ref() == Some(&output),
            _ => false,
        };
        assert!(events.iter().any(is_whole), "{} bytes were read", read.len());
        assert_eq!(lines.next().await.as_deref(), Some(b"next".as_slice()));
    }

    #[tokio::test]
    async fn line_of_sixteen_mebibytes_is_read_completely() {
        let long = 16 * 1024 * 1024;
        let input = format!("{}\nnext", "x".repeat(long));
        let mut lines = LineReader::new(input.as_bytes(), &Redactor::new([]));
        assert_eq!(lines.next().await.map(|line| line.len()), Some(long));
        assert_eq!(lines.next().await.as_deref(), Some(b"next".as_slice()));
    }

    #[tokio::test]
    async fn overlong_line_is_cut_and_the_next_is_complete() {
        let input = format!("{}\n\nshort\nlast", "x".repeat(200_000));
        let mut lines = LineReader::new(input.as_bytes(), &Redactor::new([]));
        lines.max_bytes = 100_000;
        let mut lengths = Vec::new();
        while let Some(line) = lines.next().await {
            lengths.push(line.len());
        }
        let [cut, rest @ ..] = &lengths[..] else { panic!("no line was read") };
        assert!((90_000..=100_000).contains(cut), "{cut}");
        assert_eq!(rest, [0, 5, 4]);
    }

    #[tokio::test]
    async fn no_part_of_a_secret_remains_at_the_cut() {
        let secret = "planted-secret-4711";
        let redactor = Redactor::new([secret.to_owned()]);
        for before in 1..secret.len() {
            let input = format!("{}{secret} and on\nnext", "x".repeat(100_000 - before));
            let mut lines = LineReader::new(input.as_bytes(), &redactor);
            lines.max_bytes = 100_000;
            let line = lines.next().await.unwrap();
            assert!(line.len() > 90_000 && line.iter().all(|byte| *byte == b'x'), "{before} bytes before the limit");
            assert_eq!(lines.next().await.as_deref(), Some(b"next".as_slice()));
        }
    }
}
