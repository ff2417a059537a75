//! Redacts data that arrives in pieces.
//! Bytes that may begin a secret are held until the rest arrives.

use super::boundary::CONTEXT;
use super::scan::{Completeness, ScanResult, Scanner, Text};
use super::segments::MARK;
use super::segments::{Segment, for_each_segment};
use super::terminal_codes::{self, TerminalCodeFilter};
use std::sync::Arc;

pub(crate) struct RedactionStream {
    scanner: Arc<Scanner>,
    colours: TerminalCodeFilter,
    buffer: Vec<u8>,
    context: Vec<u8>,
}

impl RedactionStream {
    pub(super) fn new(scanner: Arc<Scanner>) -> Self {
        Self { scanner, colours: TerminalCodeFilter::default(), buffer: Vec::new(), context: Vec::new() }
    }

    /// Adds a piece, and returns the bytes that certainly contain no secret.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.redact(piece, Completeness::Partial)
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.redact(&[], Completeness::Complete)
    }

    fn redact(&mut self, piece: &[u8], completeness: Completeness) -> Vec<u8> {
        self.colours.redact(&self.scanner, piece, completeness, &mut self.buffer);
        let mut clean = Vec::with_capacity(self.buffer.len());
        let text = Text { bytes: &self.buffer, context: &self.context, completeness };
        let certain = write_segments(&self.scanner, text, &mut clean);
        let last = self.buffer.get(certain.saturating_sub(CONTEXT)..certain).unwrap_or_default();
        self.context.extend_from_slice(last);
        self.context.drain(..self.context.len().saturating_sub(CONTEXT));
        self.buffer.drain(..certain);
        clean
    }
}

pub(crate) struct SecretSearch {
    scanner: Arc<Scanner>,
    buffer: Vec<u8>,
}

impl SecretSearch {
    pub(super) fn new(scanner: Arc<Scanner>) -> Self {
        Self { scanner, buffer: Vec::new() }
    }

    pub(crate) fn push(&mut self, piece: &[u8]) -> bool {
        self.buffer.extend_from_slice(piece);
        let contains_secret = self.scanner.contains_known(&self.buffer);
        self.buffer.drain(..self.buffer.len().saturating_sub(self.scanner.lookahead()));
        contains_secret
    }
}

/// Redacts a whole text; `None` if it contains no secret.
pub(super) fn redact(scanner: &Scanner, bytes: &[u8]) -> Option<Vec<u8>> {
    let uncoloured = terminal_codes::redact(scanner, bytes);
    let bytes = uncoloured.as_deref().unwrap_or(bytes);
    let text = Text { bytes, context: &[], completeness: Completeness::Complete };
    if scanner.walk(text).next(0) == ScanResult::Clean {
        return uncoloured;
    }
    let mut clean = Vec::with_capacity(bytes.len());
    write_segments(scanner, text, &mut clean);
    Some(clean)
}

/// Writes the certain bytes, with a mark for each secret. Returns the number of bytes that were processed.
fn write_segments(scanner: &Scanner, text: Text<'_>, clean: &mut Vec<u8>) -> usize {
    for_each_segment(scanner, text, |piece| {
        clean.extend_from_slice(match piece {
            Segment::Text(range) => text.bytes.get(range).unwrap_or_default(),
            Segment::Secret(_) => MARK.as_bytes(),
        });
    })
}
