//! Lines from a pipe, in bounded memory: a longer line is cut, its rest skipped.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// No line is kept longer than this.
const MAX_BYTES: usize = 16 * 1024 * 1024;

pub(super) struct Lines<R> {
    pipe: BufReader<R>,
    most: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(pipe: R) -> Self {
        Self { pipe: BufReader::with_capacity(64 * 1024, pipe), most: MAX_BYTES }
    }

    /// The next line without its end; the last one may have none. A pipe that breaks has ended.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let mut begun = false;
        loop {
            let Ok(read) = self.pipe.fill_buf().await else {
                return begun.then_some(line);
            };
            if read.is_empty() {
                return begun.then_some(line);
            }
            begun = true;
            let (part, used, ended) = match read.iter().position(|byte| *byte == b'\n') {
                Some(end) => (read.get(..end).unwrap_or_default(), end + 1, true),
                None => (read, read.len(), false),
            };
            let room = self.most.saturating_sub(line.len()).min(part.len());
            line.extend_from_slice(part.get(..room).unwrap_or_default());
            self.pipe.consume(used);
            if ended {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::adapter::Reader;
    use crate::agent::codex;
    use crate::agent::sign::Sign;
    use pullyard_protocol::event::EventKind;
    use serde_json::json;
    use std::path::Path;

    #[tokio::test]
    async fn the_longest_line_that_was_measured_is_read_whole() {
        // Codex tells what a command put out in one line, up to about 1 MiB of it.
        let output = "x".repeat(1_100_000);
        let line = json!({"type": "item.completed", "item": {
            "id": "i", "type": "command_execution", "command": "x", "aggregated_output": output,
            "exit_code": 0, "status": "completed",
        }});
        let said = format!("{line}\nnext");
        let mut lines = Lines::new(said.as_bytes());
        let read = lines.next().await.unwrap();
        let signs = codex::lines_for_tests(Path::new("/workspace")).read(&read);
        let is_whole = |sign: &Sign| match sign {
            Sign::Said(said) => said.kind == EventKind::ToolResult && said.text.as_ref() == Some(&output),
            _ => false,
        };
        assert!(signs.iter().any(is_whole), "{} bytes were read", read.len());
        assert_eq!(lines.next().await.as_deref(), Some(b"next".as_slice()));
    }

    #[tokio::test]
    async fn a_long_line_is_cut_and_the_next_is_whole() {
        let said = format!("{}\n\nshort\nlast", "x".repeat(200_000));
        let mut lines = Lines::new(said.as_bytes());
        lines.most = 100_000;
        let mut lengths = Vec::new();
        while let Some(line) = lines.next().await {
            lengths.push(line.len());
        }
        assert_eq!(lengths, [100_000, 0, 5, 4]);
    }
}
