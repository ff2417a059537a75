//! Stores a command's output without secrets, and only the beginning and end of a long one.

use crate::secrets::redact::Stream;
use std::collections::VecDeque;

pub(super) struct Kept {
    stream: Stream,
    bytes: Ends,
}

impl Kept {
    /// Stores at most `most` bytes.
    pub(super) fn new(stream: Stream, most: usize) -> Self {
        Self { stream, bytes: Ends { half: most / 2, head: Vec::new(), tail: VecDeque::new(), left_out: 0 } }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        let clean = self.stream.push(piece);
        self.bytes.keep(&clean);
    }

    /// The output as text, and whether a part is missing.
    pub(super) fn end(self) -> (String, bool) {
        let Self { stream, mut bytes } = self;
        bytes.keep(&stream.end());
        bytes.said()
    }
}

/// The beginning and the end of a long output.
struct Ends {
    /// Limit of each of the two. Units: bytes.
    half: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Ends {
    fn keep(&mut self, bytes: &[u8]) {
        let room = self.half.saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..over);
        self.left_out = self.left_out.saturating_add(over as u64);
    }

    fn said(self) -> (String, bool) {
        let mut bytes = self.head;
        if self.left_out > 0 {
            bytes.extend_from_slice(format!("\n… [{} bytes left out] …\n", self.left_out).as_bytes());
        }
        bytes.extend(self.tail);
        (String::from_utf8_lossy(&bytes).into_owned(), self.left_out > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::redact::Redactor;

    fn kept(pieces: &[&str], most: usize) -> (String, bool) {
        let mut kept = Kept::new(Redactor::new(["very-secret-words".to_owned()]).stream(), most);
        pieces.iter().for_each(|piece| kept.push(piece.as_bytes()));
        kept.end()
    }

    #[test]
    fn long_output_keeps_its_beginning_and_end() {
        let (said, truncated) = kept(&["begin", &"x".repeat(10_000), "the end"], 40);
        assert!(truncated);
        assert_eq!(said, format!("begin{0}\n… [9972 bytes left out] …\n{1}the end", "x".repeat(15), "x".repeat(13)));
        assert_eq!(kept(&["zwölf ", "Boxkämpfer"], 30), ("zwölf Boxkämpfer".into(), false));
    }

    #[test]
    fn output_is_redacted_before_it_is_cut() {
        let (said, truncated) = kept(&["a very-sec", "ret-words b"], 4_096);
        assert_eq!((said.as_str(), truncated), ("a [redacted] b", false));
        let (said, _) = kept(&["xxxx very-sec", "ret-words yyyy", &"z".repeat(100)], 24);
        assert!(!said.contains("very") && !said.contains("secret"), "{said}");
    }
}
