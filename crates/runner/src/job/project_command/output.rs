//! Stores a command's output without secrets, and only the beginning and end of a long one.

use crate::secrets::redact::RedactionStream;
use std::collections::VecDeque;

pub(super) struct OutputBuffer {
    stream: RedactionStream,
    bytes: HeadAndTail,
}

impl OutputBuffer {
    pub(super) fn new(stream: RedactionStream, max_bytes: usize) -> Self {
        Self {
            stream,
            bytes: HeadAndTail { half: max_bytes / 2, head: Vec::new(), tail: VecDeque::new(), dropped_bytes: 0 },
        }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        let clean = self.stream.push(piece);
        self.bytes.push(&clean);
    }

    pub(super) fn finish(self) -> (String, bool) {
        let Self { stream, mut bytes } = self;
        bytes.push(&stream.finish());
        bytes.into_text()
    }
}

struct HeadAndTail {
    /// Limit of each of the two. Units: bytes.
    half: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped_bytes: u64,
}

impl HeadAndTail {
    fn push(&mut self, bytes: &[u8]) {
        let room = self.half.saturating_sub(self.head.len()).min(bytes.len());
        let (first, tail) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.head.extend_from_slice(first);
        self.tail.extend(tail);
        let excess = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..excess);
        self.dropped_bytes = self.dropped_bytes.saturating_add(excess as u64);
    }

    fn into_text(self) -> (String, bool) {
        let mut bytes = self.head;
        if self.dropped_bytes > 0 {
            bytes.extend_from_slice(format!("\n… [{} bytes left out] …\n", self.dropped_bytes).as_bytes());
        }
        bytes.extend(self.tail);
        (String::from_utf8_lossy(&bytes).into_owned(), self.dropped_bytes > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::redact::Redactor;

    fn store_output(pieces: &[&str], most: usize) -> (String, bool) {
        let mut buffer = OutputBuffer::new(Redactor::new(["very-secret-words".to_owned()]).stream(), most);
        pieces.iter().for_each(|piece| buffer.push(piece.as_bytes()));
        buffer.finish()
    }

    #[test]
    fn long_output_keeps_its_beginning_and_end() {
        let (output, truncated) = store_output(&["begin", &"x".repeat(10_000), "the end"], 40);
        assert!(truncated);
        assert_eq!(output, format!("begin{0}\n… [9972 bytes left out] …\n{1}the end", "x".repeat(15), "x".repeat(13)));
        assert_eq!(store_output(&["zwölf ", "Boxkämpfer"], 30), ("zwölf Boxkämpfer".into(), false));
    }

    #[test]
    fn output_is_redacted_before_it_is_cut() {
        let (output, truncated) = store_output(&["a very-sec", "ret-words b"], 4_096);
        assert_eq!((output.as_str(), truncated), ("a [redacted] b", false));
        let (output, _) = store_output(&["xxxx very-sec", "ret-words yyyy", &"z".repeat(100)], 24);
        assert!(!output.contains("very") && !output.contains("secret"), "{output}");
    }
}
